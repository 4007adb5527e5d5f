"""What a cluster starts by itself: a use case's one training or closed loop, and its sources and sinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from errors import UsageError
from pipelines import ingestion
from pipelines.retraining import watching
from pipelines.run import prepare

if TYPE_CHECKING:
    from zenml.models import ScheduleResponse

    from ingestion.sinks import Named as Sink
    from ingestion.spec import Named as Source
    from pipelines.retraining import Options

_LEARNING = ("train", "watch")
_MOVING = ("ingest", "export")


@dataclass(frozen=True)
class Scheduled:
    """A schedule, and what became of its newest run."""

    use_case: str
    what: str
    """`train`, `watch`, `ingest` or `export`."""
    place: str | None
    """The source or the sink."""
    cron: str
    since: datetime
    run: str | None
    status: str | None

    @property
    def words(self) -> str:
        """As a person names it."""
        way = {"ingest": "from", "export": "to"}.get(self.what)
        return f"{self.use_case} {way} {self.place}" if way else self.use_case


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
    return _learn("train", use_case, cron, scheduled_training, parameters)


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
    return _learn("watch", use_case, cron, watching, parameters)


def schedule_ingest(use_case: str, cron: str, source: Source) -> str | None:
    """Load what is new at a source whenever `cron` says so; returns as `schedule_training`.

    Raises:
        UsageError: the cluster does not take `cron`, or its pods cannot reach the source.
    """
    parameters = ingestion.of_ingest(use_case, source) | {"wait": True}
    return _move("ingest", use_case, source.name, cron, ingestion.ingesting, parameters)


def schedule_export(use_case: str, cron: str, sink: Sink) -> str | None:
    """Write what a sink does not have whenever `cron` says so; returns as `schedule_training`.

    Raises:
        UsageError: the cluster does not take `cron`, or its pods cannot reach the sink.
    """
    parameters = ingestion.of_export(use_case, sink) | {"wait": True}
    return _move("export", use_case, sink.name, cron, ingestion.exporting, parameters)


def _learn(
    what: str, use_case: str, cron: str, definition: Callable[..., None], parameters: dict[str, Any]
) -> str | None:
    _check(cron)
    before = remove(use_case)
    _schedule(f"{what}_{use_case}", f"{what}_{use_case}", cron, definition, parameters)
    return before


def _move(
    what: str,
    use_case: str,
    place: str,
    cron: str,
    definition: Callable[..., None],
    parameters: dict[str, Any],
) -> str | None:
    _check(cron)
    before = remove_moving(what, use_case, place)
    _schedule(f"{what}_{use_case}", _name(what, use_case, place), cron, definition, parameters)
    return before


def _check(cron: str) -> None:
    from zenml.client import Client

    from stacks.kubernetes import schedules

    orchestrator: Any = Client().active_stack.orchestrator
    schedules.check(orchestrator, cron)


def _schedule(
    pipeline: str, name: str, cron: str, definition: Callable[..., None], parameters: dict[str, Any]
) -> None:
    from zenml.config.schedule import Schedule

    schedule = Schedule(name=name, cron_expression=cron)
    prepare(pipeline, definition).with_options(schedule=schedule)(**parameters)


def remove(use_case: str) -> str | None:
    """End the training or the loop of `use_case`, and its run under way; returns its cron, or None."""
    return _remove(next(filter(None, (_find(f"{what}_{use_case}") for what in _LEARNING)), None))


def remove_moving(what: str, use_case: str, place: str) -> str | None:
    """End the schedule of a source (`ingest`) or a sink (`export`); returns as `remove`."""
    return _remove(_find(_name(what, use_case, place)))


def _name(what: str, use_case: str, place: str) -> str:
    return f"{what}_{use_case}@{place}"


def _remove(found: ScheduleResponse | None) -> str | None:
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.models import PipelineRunUpdate

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
        what, _, of = each.name.partition("_")
        use_case, _, place = of.partition("@")
        if what not in (*_LEARNING, *_MOVING):
            continue
        runs = client.list_pipeline_runs(schedule_id=each.id, sort_by="desc:created", size=1).items
        found.append(
            Scheduled(
                use_case=use_case,
                what=what,
                place=place or None,
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
