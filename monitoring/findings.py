"""What a check found, in sentences for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from monitoring.check import Finding, Performance, Quality, Score, Shift
from monitoring.shifts import count, numbers

if TYPE_CHECKING:
    from usecases.base import Monitored

_NAMED = 3
# So many of the worst slices are named in a sentence; the others are counted.


def too_few(rows: int, least: int) -> Finding:
    """Nothing can be said of distributions."""
    there = "No prediction was" if not rows else f"Only {rows:,} prediction{'s' * (rows > 1)} were"
    return Finding(
        kind="too few rows",
        sentence=f"{there} logged in this time; {least} are needed to compare distributions.",
        retrain=False,
    )


def drift(
    shift: Shift, column: Monitored, before: pd.Series, now: pd.Series, short: str | None, predicted: bool
) -> Finding:
    """One column, or the predictions, drifted; `short` says why that asks for nothing, if so."""
    moved = _numbers if column.kind == "numeric" else _values
    sentence = f"{moved(column, before, now)}; distance {shift.distance:.2f}, tolerated {shift.tolerated:.2g}"
    return Finding(
        kind="prediction drift" if predicted else "drift",
        sentence=f"{sentence[0].upper()}{sentence[1:]}{_end(short)}",
        retrain=short is None,
    )


def quality(found: Quality, rows: int) -> Finding:
    """Requests are filled worse than they were; a new model does not mend their source."""
    return Finding(
        kind="quality",
        sentence=f"{found.column}: {found.missing:.1%} of {rows:,} rows have no value, "
        f"{found.missing_before:.1%} had none before; {found.out_of_range:.1%} are out of the range.",
        retrain=False,
    )


def performance(found: Performance, short: str | None) -> list[Finding]:
    """The metric is worse than promised, overall or in slices; `short`: why that asks for nothing, if so."""
    unit = f" {found.unit}" if found.unit else ""
    end = _end(short)
    findings = []
    if found.overall.worse and found.method == "estimated":
        findings.append(
            Finding(
                kind="estimated performance",
                sentence=f"{found.metric} is probably worse than promised: {_beside(found.overall, unit)}, "
                "estimated from the requests alone, which holds while equal requests turn out as they did.",
                retrain=False,
            )
        )
    elif found.overall.worse:
        findings.append(
            Finding(
                kind="performance",
                sentence=f"{found.metric} is worse than promised: {_beside(found.overall, unit)}, "
                f"over {found.overall.rows:,} outcomes{end}",
                retrain=short is None,
            )
        )
    if worse := [score for score in found.scores[1:] if score.worse]:
        worst = sorted(worse, key=_how_much_worse, reverse=True)
        named = "; ".join(f"{score.name}: {_beside(score, unit)}" for score in worst[:_NAMED])
        more = f"; and {len(worst) - _NAMED} more" if len(worst) > _NAMED else ""
        findings.append(
            Finding(
                kind="performance",
                sentence=f"{found.metric} is worse than promised in {len(worse)} of {len(found.scores) - 1} "
                f"slices: {named}{more}{end}",
                retrain=short is None,
            )
        )
    return findings


def _how_much_worse(score: Score) -> float:
    return abs(score.value - score.promised) / abs(score.promised) if score.promised else np.inf


def _end(short: str | None) -> str:
    return f". {short}" if short else "."


def _beside(score: Score, unit: str) -> str:
    return f"{score.value:.3g}{unit} ({score.low:.3g} to {score.high:.3g}) instead of {score.promised:.3g}"


def _numbers(column: Monitored, before: pd.Series, now: pd.Series) -> str:
    unit = f" {column.unit}" if column.unit else ""
    (low, middle, high), (new_low, new_middle, new_high) = (
        [f"{value:.3g}" for value in np.quantile(numbers(values), (0.25, 0.5, 0.75))]
        for values in (before, now)
    )
    if middle != new_middle:
        way = "higher" if float(new_middle) > float(middle) else "lower"
        return f"{column.label} is {way}: the median was {middle}{unit} and is {new_middle}"
    return (
        f"{column.label} is spread otherwise: half of the rows were between {low} and {high}{unit} and are "
        f"between {new_low} and {new_high}"
    )


def _values(column: Monitored, before: pd.Series, now: pd.Series) -> str:
    values, counts = count(before, now)
    was, is_ = counts / counts.sum(axis=1, keepdims=True)
    most = int(np.abs(is_ - was).argmax())
    return (
        f"{column.label} is distributed otherwise: most of all, {_name(values[most])} had {was[most]:.1%} of "
        f"the rows and has {is_[most]:.1%}"
    )


def _name(value: Any) -> str:
    if value is None:
        return "no value"
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
