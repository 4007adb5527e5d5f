"""The tables of benchmarks/drift.py, and their place in docs/drift.md."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

import numpy as np

import environment
from benchmarks import page
from monitoring.check import Check
from settings import PROJECT

PAGE = PROJECT / "docs" / "drift.md"
GOAL = 0.05
Found = Mapping[tuple[str, int], Sequence[Check]]


def write(text: str) -> None:
    page.write("drift.py", text, PAGE)


def render(
    learnt: str,
    judged: Sequence[str],
    quiet: Found,
    moved: Found,
    months: Sequence[tuple[str, Check]],
    weeks: Sequence[tuple[str, Check]],
    days: Sequence[tuple[str, Check]],
    mixes: Mapping[str, Sequence[Check]],
    seconds: Callable[[], float],
    load: float,
) -> str:
    """The tables; `seconds`: how long it has taken so far; `load`: the machine's load before."""
    versions = ", ".join(
        f"{name} {version}" for name, version in environment.versions(environment.TRAINING).items()
    )
    return "\n".join(
        [
            f"Measured by `benchmarks/drift.py` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d} in "
            f"{seconds() / 60:.0f} minutes. Machine: {page.machine()}; load average before: {load:.1f}; "
            f"{versions}.",
            "",
            f"Real green taxi trips: the model (gradient boosting, its defaults) learnt from {learnt} and is "
            f"judged by {judged[0]}; later months are {', '.join(judged[1:])}. References are 20,000 rows.",
            "",
            "### Where nothing happened",
            "",
            *_quiet(quiet),
            "",
            "### Where something did",
            "",
            *_moved(moved),
            "",
            f"### Real later months, beside {judged[0]}",
            "",
            *_later(months, weeks, days),
            "",
            "### Performance, estimated without outcomes",
            "",
            *_mixes(mixes, weeks),
        ]
    )


def _quiet(quiet: Found) -> list[str]:
    rows = []
    for (how, size), checks in sorted(quiet.items(), reverse=True):
        retrain = _share(checks, lambda check: check.verdict == "retrain")
        rows.append(
            [
                "rows drawn at random" if how == "rows" else "weeks of other days",
                f"{size:,}",
                f"{retrain:.1%}",
                f"{_share(checks, _drifted):.1%}",
                f"{_share(checks, _worse):.1%}",
                f"{_share(checks, lambda check: check.verdict == 'watch'):.1%}",
                "met" if retrain <= GOAL else "**missed**",
            ]
        )
    count = len(next(iter(quiet.values())))
    head = ["", "rows", "`retrain`", "of it by drift", "by performance", "`watch`", f"goal ≤ {GOAL:.0%}"]
    return [f"Share of {count} checks each, with outcomes of all rows.", "", *_table(head, rows)]


def _moved(moved: Found) -> list[str]:
    sizes = sorted({size for _, size in moved})
    rows = []
    for name in dict.fromkeys(name for name, _ in moved):
        shares = [_share(moved[name, size], lambda check: check.asks_for_retraining) for size in sizes]
        largest = [
            max(
                (
                    (shift.distance / shift.tolerated, shift)
                    for shift in [*check.shifts, check.prediction]
                    if shift
                ),
                key=lambda found: found[0],
            )[1]
            for check in moved[name, sizes[-1]]
        ]
        columns = [shift.column for shift in largest]
        most = max(set(columns), key=columns.count)
        distance = np.median([shift.distance for shift in largest if shift.column == most])
        tolerated = next(shift.tolerated for shift in largest if shift.column == most)
        outcomes = moved[name, sizes[-1]][0].performance is not None
        ratio = np.median(
            [
                check.performance.overall.value / check.performance.overall.promised
                for check in moved[name, sizes[-1]]
                if check.performance
            ]
            or [1]
        )
        seen = (
            f"metric × {ratio:.2f}, 1.05 tolerated"
            if outcomes
            else f"{most} {distance:.3f}, {tolerated:g} tolerated"
        )
        rows.append([name, *(f"{share:.0%}" for share in shares), seen])
    count = len(next(iter(moved.values())))
    head = ["", *(f"{size:,} rows" for size in sizes), "what moved most, 10,000 rows"]
    return [
        f"Share of {count} checks each that ask for retraining: of inputs by drift alone, without outcomes, "
        "of durations by outcomes.",
        "",
        *_table(head, rows),
    ]


def _later(
    months: Sequence[tuple[str, Check]],
    weeks: Sequence[tuple[str, Check]],
    days: Sequence[tuple[str, Check]],
) -> list[str]:
    rows = [[f"{month}, whole", check.verdict, *_largest([check])] for month, check in months]
    for name, found in (("times 7 days", weeks), ("single days", days)):
        for month in dict.fromkeys(when[:7] for when, _ in found):
            checks = [check for when, check in found if when.startswith(month)]
            verdicts = [check.verdict for check in checks]
            counted = ", ".join(f"{verdicts.count(word)} {word}" for word in sorted(set(verdicts)))
            rows.append([f"{month}, {len(checks)} {name}", counted, *_largest(checks)])
    head = [
        "",
        "verdicts",
        "largest numeric distance",
        "largest categorical distance",
        "metric, times as bad",
    ]
    told = [
        f"- {day}: {finding.sentence}"
        for day, check in weeks
        for finding in check.findings
        if finding.retrain
    ]
    return [*_table(head, rows), *(["", "Asked for by:", "", *told] if told else [])]


def _largest(checks: Sequence[Check]) -> list[str]:
    cells = []
    for kind in ("numeric", "categorical"):
        shifts = [
            shift
            for check in checks
            for shift in [*check.shifts, check.prediction]
            if shift and shift.kind == kind and shift.column != "weekday"
        ]
        most = max(shifts, key=lambda shift: shift.distance)
        cells.append(f"{most.column} {most.distance:.3f}")
    ratios = [
        check.performance.overall.value / check.performance.overall.promised
        for check in checks
        if check.performance
    ]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}" if len(ratios) > 1 else f"{ratios[0]:.3f}"
    return [*cells, spread]


def _mixes(mixes: Mapping[str, Sequence[Check]], weeks: Sequence[tuple[str, Check]]) -> list[str]:
    rows = [_estimated(name, checks) for name, checks in mixes.items()]
    rows.append(_estimated("7 days of later months", [check for _, check in weeks if check.estimated]))
    head = [
        "",
        "metric, times as bad",
        "estimated",
        "mean error",
        "estimate says worse",
        "outcomes say worse",
    ]
    return _table(head, rows)


def _estimated(name: str, checks: Sequence[Check]) -> list[str]:
    true, guess = [], []
    for check in checks:
        assert check.performance
        assert check.estimated
        true.append(check.performance.overall.value / check.performance.overall.promised)
        guess.append(check.estimated.overall.value / check.estimated.overall.promised)
    return [
        name,
        f"{np.mean(true):.3f}",
        f"{np.mean(guess):.3f}",
        f"{np.mean(np.abs(np.subtract(true, guess))):.3f}",
        f"{_share(checks, lambda check: bool(check.estimated and check.estimated.overall.worse)):.0%}",
        f"{_share(checks, lambda check: bool(check.performance and check.performance.overall.worse)):.0%}",
    ]


def _drifted(check: Check) -> bool:
    return any(finding.retrain for finding in check.findings if "drift" in finding.kind)


def _worse(check: Check) -> bool:
    return any(finding.retrain for finding in check.findings if finding.kind == "performance")


def _share(checks: Sequence[Check], holds: Callable[[Check], bool]) -> float:
    return sum(map(holds, checks)) / len(checks)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
