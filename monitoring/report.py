"""One check as a page for people: the verdict, why, and the distributions and numbers behind it.

It is one file that loads nothing from elsewhere, so that it can be sent and kept.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from monitoring import plots
from monitoring.comparison import columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from monitoring.check import Check, Performance, Quality, Shift
    from usecases.base import UseCase

VERDICTS = {
    "good": ("good", "Good", "Nothing was found that is worth a look."),
    "watch": ("watch", "Watch", "Something is off that a new model would not mend."),
    "retrain": ("retrain", "Retrain", "A new model may mend what was found."),
    "too few rows": (
        "few",
        "Too few rows",
        "Nothing can be told yet; the next check looks at these rows again.",
    ),
}
"""Verdict → how it is marked, said, and explained."""


def page(
    use_case: UseCase,
    check: Check,
    before: pd.DataFrame,
    now: pd.DataFrame,
    notes: Sequence[str] = (),
    run: str | None = None,
) -> str:
    """The page, as HTML.

    `before` and `now` are the rows that were compared; `notes` are sentences on what was not looked at.
    """
    title = use_case.title
    mark, verdict, meaning = VERDICTS[check.verdict]
    labels = {name: column.label for name, column in use_case.monitored.items()}
    shifts = [*([check.prediction] if check.prediction else []), *check.shifts]
    shifts.sort(key=lambda shift: not shift.drifted)
    parts = [
        f"<header><h1>{_text(title)}: is version {check.model_version} still good?</h1>",
        f'<p class="verdict {mark}">{verdict}</p><p>{meaning}</p></header>',
        _findings(check),
        _facts(check, run),
        _list("Not looked at", notes),
        _performance("Performance, by what came true", check.performance),
        _performance("Performance, estimated from the requests alone", check.estimated),
        _distributions(shifts, labels, columns(use_case, before), columns(use_case, now)),
        _shifts(shifts, labels),
        _quality(check.quality),
    ]
    style = (Path(__file__).parent / "report.css").read_text()
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}: {verdict.lower()}</title><style>{style}</style>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _findings(check: Check) -> str:
    items = "".join(
        f'<li class="{"retrain" if finding.retrain else "watch"}">{_text(finding.sentence)}</li>'
        for finding in check.findings
    )
    return f'<ul class="findings">{items}</ul>' if items else ""


def _facts(check: Check, run: str | None) -> str:
    facts = {
        "Model version": str(check.model_version),
        "From": f"{check.since:%Y-%m-%d %H:%M:%S} UTC",
        "Until": f"{check.until:%Y-%m-%d %H:%M:%S} UTC",
        "Predictions": f"{check.rows:,}"
        + (f", {check.compared:,} of them drawn" if check.compared < check.rows else ""),
        "Outcomes that came": f"{check.outcomes:,}",
        "Compared with": f"{check.reference_rows:,} validation rows of the version",
        "Run in ZenML": run or "",
    }
    listed = "".join(
        f"<div><dt>{name}</dt><dd>{_text(fact)}</dd></div>" for name, fact in facts.items() if fact
    )
    return f"<dl>{listed}</dl>"


def _performance(title: str, performance: Performance | None) -> str:
    if performance is None:
        return ""
    scores = performance.scores
    reach = [end for score in scores for end in (score.low, score.high, score.promised)]
    ends = (min(reach), max(reach))
    unit = f" ({performance.unit})" if performance.unit else ""
    rows = (
        [
            _text(score.name),
            _yes_or_no(score.worse),
            f"{score.rows:,}",
            f"{score.value:.3f}",
            f"{score.low:.3f} to {score.high:.3f}",
            f"{score.promised:.3f}",
            plots.interval(score.value, score.low, score.high, score.promised, ends),
        ]
        for score in scores
    )
    metric = f">{performance.metric}{unit}"
    heads = ["rows of", "worse beyond doubt", ">rows", metric, ">95% interval", ">promised", ""]
    about = "The dashed line is what the version promised on the validation rows of the same slice."
    return _section(title, _table(heads, rows), about)


def _distributions(
    shifts: Sequence[Shift],
    labels: Mapping[str, str],
    before: Mapping[str, pd.Series],
    now: Mapping[str, pd.Series],
) -> str:
    if not shifts:
        return ""
    figures = []
    for shift in shifts:
        draw = plots.numbers if shift.kind == "numeric" else plots.categories
        label = labels.get(shift.column, shift.column)
        drawn = draw(before[shift.column], now[shift.column], f"Distributions of the {label}")
        distance = f'<span class="{"off" if shift.drifted else "fine"}">distance {shift.distance:.3f}</span>'
        figures.append(f"<figure><figcaption>{_text(label)}{distance}</figcaption>{drawn}</figure>")
    key = '<p class="key"><span>validation rows</span><span class="is-now">this window</span></p>'
    return _section("Distributions", f'{key}<div class="plots">{"".join(figures)}</div>')


def _shifts(shifts: Sequence[Shift], labels: Mapping[str, str]) -> str:
    rows = (
        [
            _text(labels.get(shift.column, shift.column)),
            _yes_or_no(shift.drifted),
            shift.kind,
            f"{shift.distance:.3f}",
            f"{shift.tolerated:.3f}",
            "below 0.0001" if shift.p < 1e-4 else f"{shift.p:.4f}",
        ]
        for shift in shifts
    )
    about = (
        "0 is the same distribution, 1 nothing in common. Drifted is what is both beyond chance, by p, which "
        "is corrected for the number of columns, and farther than tolerated."
    )
    heads = ["column", "drifted", "kind", ">distance", ">tolerated", ">p"]
    return _section("How far they moved", _table(heads, rows), about) if shifts else ""


def _quality(quality: Sequence[Quality]) -> str:
    rows = (
        [
            _text(one.column),
            _yes_or_no(one.worse),
            f"{one.missing:.2%}",
            f"{one.missing_before:.2%}",
            f"{one.out_of_range:.2%}",
        ]
        for one in quality
    )
    about = "Out of range is what the validation rows never had: smaller, larger, or another value."
    heads = ["column", "worse", ">missing", ">missing before", ">out of range"]
    return _section("How well requests are filled", _table(heads, rows), about) if quality else ""


def _list(title: str, sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    return _section(title, f"<ul>{items}</ul>") if items else ""


def _section(title: str, content: str, about: str = "") -> str:
    said = f'<p class="quiet">{about}</p>' if about else ""
    return f"<section><h2>{title}</h2>{said}{content}</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a head that begins with `>` has its numbers on the right."""
    marks = [' class="number"' if head.startswith(">") else "" for head in heads]
    top = "".join(
        f"<th{mark}>{_text(head.lstrip('>'))}</th>" for mark, head in zip(marks, heads, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _yes_or_no(off: bool) -> str:
    return '<span class="off">yes</span>' if off else '<span class="fine">no</span>'


def _text(text: str) -> str:
    return html.escape(text)
