"""From what an endpoint logged to a check on record."""

from typing import Annotated, Any

import pandas as pd
from zenml import get_step_context, log_metadata, step
from zenml.types import HTMLString

import usecases
from monitoring.check import Check
from steps import links
from steps.tracking import open_tracking_in_cluster

# None is cached: what is in the log, and on record, is another thing each time.


@step(enable_cache=False)
def observe(
    window: dict[str, Any], version: int, notes: list[str]
) -> tuple[Annotated[pd.DataFrame, "asked"], Annotated[pd.DataFrame, "known"], Annotated[list[str], "notes"]]:
    """Draw the version's predictions in the window, and those whose outcome came in it.

    Args:
        window: A `monitoring.window.Window`.
        version: The version to check.
        notes: What is known of rows that are not looked at; more of them are added.
    """
    from monitoring.log import here
    from monitoring.window import Window, frame

    open_tracking_in_cluster()
    log = here()
    seen = Window.model_validate(window)
    case = usecases.load(seen.use_case)
    asked, known = (frame(case, log.draw(seen, version, known=known), known=known) for known in (False, True))
    log_metadata({"rows": seen.rows.get(version, 0), "outcomes": seen.outcomes.get(version, 0)})
    if asked.unreadable or known.unreadable:
        notes = [*notes, _unreadable(max(asked.unreadable, known.unreadable))]
    return asked.rows, known.rows, notes


@step(enable_cache=False)
def compare(
    window: dict[str, Any], version: int, asked: pd.DataFrame, known: pd.DataFrame
) -> Annotated[Check, "check"]:
    """Put both beside the version's validation rows."""
    from monitoring.comparison import Current, Reference, compare
    from monitoring.window import Window
    from tracking import registry

    open_tracking_in_cluster()
    seen = Window.model_validate(window)
    case = usecases.load(seen.use_case)
    reference = Reference(version, registry.validation(registry.find(case.name, str(version))))
    current = Current(asked, seen.rows.get(version, 0), known, seen.outcomes.get(version, 0))
    check = compare(case, reference, current, seen.since, seen.until)
    log_metadata(
        metadata={
            "verdict": str(check.verdict),
            "model_version": version,
            "rows": check.rows,
            "outcomes": check.outcomes,
            "distances": {shift.column: shift.distance for shift in check.shifts},
            "findings": [finding.sentence for finding in check.findings],
        },
        artifact_name="check",
        infer_artifact=True,
    )
    return check


@step(enable_cache=False)
def report(check: Check, asked: pd.DataFrame, notes: list[str]) -> Annotated[HTMLString, "report"]:
    """The check as a page, in ZenML's dashboard, too."""
    from monitoring.report import page
    from tracking import registry

    open_tracking_in_cluster()
    case = usecases.load(check.use_case)
    validation = registry.validation(registry.find(case.name, str(check.model_version)))
    run = get_step_context().pipeline_run.name
    return HTMLString(page(case, check, validation, asked, notes, run))


@step(enable_cache=False)
def record(check: Check) -> Annotated[int, "recorded"]:
    """Note the check; the next one begins where it ended."""
    from db.checks import DRIFT
    from monitoring.log import here

    open_tracking_in_cluster()
    number = here().record(
        {
            "use_case": check.use_case,
            "model_version": check.model_version,
            "since": check.since,
            "until": check.until,
            "verdict": check.verdict,
            "found": check.model_dump(mode="json"),
            "zenml_run": get_step_context().pipeline_run.name,
        }
    )
    log_metadata({"recorded": number})
    if check.verdict in DRIFT:
        _tell(check)
    return number


def _tell(check: Check) -> None:
    import events
    from alerts import Alert, send
    from settings import Settings

    events.deliver(Settings())
    word = "asks for a new model" if check.asks_for_retraining else "needs a look"
    send(
        Settings(),
        Alert(
            "drift",
            check.use_case,
            f"A check of {check.use_case} version {check.model_version} {word}",
            " ".join(finding.sentence for finding in check.findings),
            {"run": links.this_run()},
        ),
    )


def _unreadable(rows: int) -> str:
    return f"{rows:,} of the rows drawn: the use case's contract of today would not take them."
