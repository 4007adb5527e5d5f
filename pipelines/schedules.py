"""Trainings, or rounds of the closed loop, that a cluster starts by itself, at most one for each use case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from errors import UsageError
from pipelines.retraining import watching
from pipelines.run import prepare

if TYPE_CHECKING:
    from zenml.models import ScheduleResponse

    from pipelines.retraining import Options

_WHAT = ("train", "watch")


@dataclass(frozen=True)
class Scheduled:
    """A schedule, and what became of its newest run."""

    use_case: str
    what: str
    """`train` or `watch`."""
    cron: str
    since: datetime
    run: str | None
    status: str | None


def schedule_training(
    use_case: str,
    cron: str,
    options: dict[str, Any],
    *,
    release: bool = False,
    require_approval: bool = False,
) -> str | None:
    """Train `use_case` whenever `cron` says so (UTC); returns the cron of the schedule that was replaced.

    With `release`, whichever version is champion then is released; with `require_approval`, only if that was
    approved. `options` are those of `training.plan.make`. Each run looks anew for data files and for the
    champion.

    Raises:
        UsageError: the cluster does not take `cron`.
    """
    parameters = {
        "use_case": use_case,
        "options": options,
        "release": release,
        "require_approval": require_approval,
    }
    return _schedule("train", use_case, cron, scheduled_training, parameters)


def schedule_watching(
    use_case: str, cron: str, options: Options, *, require_approval: bool = False
) -> str | None:
    """Check, decide, retrain and release whenever `cron` says so; returns as `schedule_training`.

    Raises:
        UsageError: the cluster does not take `cron`.
    """
    parameters = {
        "use_case": use_case,
        "options": asdict(options),
        "by": "a schedule",
        "require_approval": require_approval,
    }
    return _schedule("watch", use_case, cron, watching, parameters)


def _schedule(
    what: str, use_case: str, cron: str, definition: Callable[..., None], parameters: dict[str, Any]
) -> str | None:
    from zenml.client import Client
    from zenml.config.schedule import Schedule

    from stacks.kubernetes import schedules

    orchestrator: Any = Client().active_stack.orchestrator
    schedules.check(orchestrator, cron)
    before = remove(use_case)
    name = f"{what}_{use_case}"
    prepared = prepare(name, definition).with_options(schedule=Schedule(name=name, cron_expression=cron))
    prepared(**parameters)
    return before


def remove(use_case: str) -> str | None:
    """End the schedule of `use_case` and its run under way; returns its cron, or None when there is none."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.models import PipelineRunUpdate

    found = next(filter(None, (_find(f"{what}_{use_case}") for what in _WHAT)), None)
    if found is None:
        return None
    client = Client()
    runs = client.list_pipeline_runs(schedule_id=found.id, sort_by="desc:created").items
    client.delete_schedule(found.id)
    # Its pods and its token went with the CronJob, so that it could not say itself that it ended.
    for run in runs:
        if not run.status.is_finished:
            client.zen_store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus.STOPPED))
    return str(found.cron_expression)


def listed() -> list[Scheduled]:
    """All schedules of use cases."""
    from zenml.client import Client

    client = Client()
    found = []
    for each in client.list_schedules(size=1000, hydrate=True).items:
        what, _, use_case = each.name.partition("_")
        if what not in _WHAT:
            continue
        runs = client.list_pipeline_runs(schedule_id=each.id, sort_by="desc:created", size=1).items
        found.append(
            Scheduled(
                use_case=use_case,
                what=what,
                cron=str(each.cron_expression),
                since=each.created,
                run=runs[0].name if runs else None,
                status=runs[0].status.value if runs else None,
            )
        )
    return found


def scheduled_training(
    use_case: str, options: dict[str, Any], release: bool, require_approval: bool = False
) -> None:
    """A training that is planned when it begins."""
    from pipelines.training import training
    from steps.planning import make_plan

    plan, champion = make_plan(use_case, options)
    training(plan.load(), champion.load(), "a schedule" if release else None, require_approval)


def require_cluster(stack: str, remote: bool) -> None:
    """Schedules are a cluster's.

    Raises:
        UsageError: the stack runs pipelines on this machine.
    """
    if not remote:
        raise UsageError(
            f"The stack {stack!r} runs pipelines in its commands, so nothing starts them by itself; "
            "take --stack kubernetes, or your machine's cron."
        )


def _find(name: str) -> ScheduleResponse | None:
    from zenml.client import Client

    found = Client().list_schedules(name=name, hydrate=True).items
    return found[0] if found else None
