"""Monitor: observe (draw what was logged since the last check) → compare → report → record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from errors import NothingLogged
from pipelines.run import Run, run
from pipelines.start import start

if TYPE_CHECKING:
    from pathlib import Path

    from monitoring.check import Check

KEPT_REPORTS = 100
"""Pages of so many checks stay in the home folder; ZenML has them all, until `gc`."""


@dataclass(frozen=True)
class Checked:
    """What a check found."""

    check: Check
    recorded: int
    """Its number in `drift_checks`."""
    new: bool
    """False: nothing came since this one, which is the newest on record."""
    run: Run | None = None
    notes: tuple[str, ...] = ()
    """What was not looked at, in sentences."""
    report: Path | None = None
    """The page of it."""


def monitor(use_case: str, since: datetime | None = None) -> Checked:
    """Check the version that serves by what came since the last check, or since a moment.

    When nothing came, the newest check is returned again.

    Raises:
        UsageError: `since` is not yet.
        NothingLogged: nothing was logged yet.
        DatabaseError: another check of the use case is under way, or was quicker.
    """
    from monitoring import log as logs
    from monitoring.check import Check
    from monitoring.window import SETTLE_SECONDS
    from settings import Settings

    log = logs.here()
    with log.alone(use_case):
        pending = log.pending(use_case, since, logs.reach(use_case))
        asked, newest = pending.asks(), pending.newest
        if asked is None:
            if newest is None:
                raise NothingLogged(
                    f"No prediction of {use_case} is logged that is older than {SETTLE_SECONDS} s. "
                    f"Ask its endpoint first, such as by: python run.py predict {use_case} --file FILE"
                )
            return Checked(Check.model_validate(newest.found), newest.id, new=False)
        finished = run(f"monitor_{use_case}", monitoring, asked, cache=False)
    recorded = finished.output("record", "recorded")
    folder = Settings().home / "reports"
    return Checked(
        check=finished.output("compare", "check"),
        recorded=recorded,
        new=True,
        run=finished,
        notes=tuple(finished.output("observe", "notes")),
        report=_keep(folder, use_case, recorded, finished.output("report", "report")),
    )


def monitoring(window: dict[str, Any], version: int, notes: list[str]) -> None:
    """The steps of a check, in their order."""
    from steps.monitoring import compare, observe, record, report

    asked, known, said = observe(window, version, notes)
    check = compare(window, version, asked, known)
    page = start(report, check, asked, said)
    # After the page: what is on record has one.
    record(check, after=page)


def _keep(folder: Path, use_case: str, recorded: int, page: str) -> Path:
    """Write the page of a check to the folder, and remove the oldest ones."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{use_case}-{recorded}.html"
    path.write_text(page)
    pages = sorted(folder.glob(f"{use_case}-*.html"), key=lambda page: int(page.stem.rpartition("-")[2]))
    for old in pages[:-KEPT_REPORTS]:
        old.unlink()
    return path
