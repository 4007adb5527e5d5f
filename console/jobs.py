"""What each command does: open the stack, run the pipeline, and put the result into one document.

The document is what `--json` prints; console/reports.py turns the same document into what a person reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.releases import document_of, run_release
from console.session import open_session, stages
from errors import UsageError
from settings import PROJECT

if TYPE_CHECKING:
    from console.progress import Progress
    from pipelines.retraining import Options
    from pipelines.training import Trained
    from settings import Settings
    from stacks.session import Session
    from training.plan import Plan

Document = dict[str, Any]

DEFAULT = "taxi"
"""Use case of the main job."""


def main_job(settings: Settings, stack: str, progress: Progress) -> Document:
    """Train the default use case, release its champion, ask it once."""
    from stacks.session import require_local

    require_local(stack, "The main job")
    session = open_session(settings, stack, progress)
    trained = _train(session, progress, DEFAULT)
    document: Document = {"training": trained}
    if trained["champion"] is not None:
        document["release"] = run_release(progress, DEFAULT, "champion")
        with progress.stage("ask the endpoint"):
            document["answer"] = _ask_example(document["release"]["address"], DEFAULT)
    return document | {"stages": stages(progress)}


def example(settings: Settings, stack: str, progress: Progress) -> Document:
    """Run the hello world."""
    from pipelines.example import example as run_example

    session = open_session(settings, stack, progress, tracking=False)
    with progress.pipeline("example_pipeline"):
        run, file = run_example(session.folder / "example_pipeline")
    return {"file": str(file), "run": run.name, "stages": stages(progress)}


def train(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    *,
    release: bool = False,
    **options: Any,
) -> Document:
    """Train one use case, and `release` what is champion then."""
    import usecases

    usecases.load(use_case)
    session = open_session(settings, stack, progress)
    document = _train(session, progress, use_case, release=release, **options)
    if release and session.databases is not None and (document["promoted"] or document["champion_stands"]):
        document["release"] = run_release(progress, use_case, "champion")
    return document | {"stages": stages(progress)}


def reproduce(settings: Settings, stack: str, progress: Progress, use_case: str, version: int) -> Document:
    """Train a registered version again and compare."""
    import usecases

    usecases.load(use_case)
    open_session(settings, stack, progress)
    from pipelines.reproduction import reproduce as run_reproduction

    with progress.pipeline("reproduce"):
        done = run_reproduction(use_case, version, settings.home / "downloads")
    return {
        "use_case": use_case,
        "version": version,
        "equal": done.equal,
        "rows": done.rows,
        "largest_difference": done.largest_difference,
        "differences": done.differences,
        "run": done.run.name,
        "stages": stages(progress),
    }


def follow(settings: Settings, stack: str, progress: Progress, name: str) -> Document:
    """Watch a run in a cluster to its end."""
    session = open_session(settings, stack, progress, tracking=False)
    if session.databases is not None:
        raise UsageError(
            f"Runs on the stack {stack!r} end with their command; only those in a cluster go on."
        )
    from pipelines.run import find, follow

    with progress.pipeline(name):
        run = follow(find(name))
    return {"run": run.name, "stages": stages(progress)}


def schedule(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    cron: str,
    *,
    release: bool = False,
    watch: bool = False,
    window: int | None = None,
    **options: Any,
) -> Document:
    """Let a cluster train a use case by itself, or keep its model good.

    Raises:
        UsageError: options that do not go together, or make no sense for the use case.
    """
    import usecases
    from training import plan as plans

    case = usecases.load(use_case)
    plans.check(case, options["cutoff"], options["candidates"])
    if watch and (release or options["months"] or options["cutoff"]):
        raise UsageError(
            "With --watch it is decided each time what is learnt from and released: leave out --release, "
            "--months and --cutoff; --window says how many of the newest files count."
        )
    if window is not None and not watch:
        raise UsageError("--window is for --watch; a training without it takes --months.")
    schedules = open_schedules(settings, stack, progress)
    with progress.stage("schedule"):
        if watch:
            before = schedules.schedule_watching(
                use_case,
                cron,
                retraining_options(options, window),
                require_approval=settings.require_approval,
            )
        else:
            before = schedules.schedule_training(
                use_case, cron, options, release=release, require_approval=settings.require_approval
            )
    does = f"trains {use_case}" + (" and releases its champion" if release else "")
    if watch:
        does = f"checks {use_case}, and retrains and releases it when needed,"
    return {
        "use_case": use_case,
        "cron": cron,
        "before": before,
        "release": release,
        "watch": watch,
        "does": does,
        "stages": stages(progress),
    }


def retraining_options(options: Mapping[str, Any], window: int | None) -> Options:
    """What a person asked of a training and of the window, as a retraining takes it."""
    from pipelines.retraining import WINDOW, Options

    return Options(
        source=options["source"],
        window=window or WINDOW,
        candidates=options["candidates"],
        trials=options["trials"],
        seed=options["seed"],
    )


def scheduled(settings: Settings, stack: str, progress: Progress) -> Document:
    """What a cluster does by itself."""
    from dataclasses import asdict

    return {"schedules": [asdict(each) for each in open_schedules(settings, stack, progress).listed()]}


def unschedule(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    *,
    source: str | None = None,
    sink: str | None = None,
) -> Document:
    """End what `schedule` began; or what `ingest --cron` did for a source, or `export --cron` for a sink."""
    if source and sink:
        raise UsageError("--from and --to are two schedules: end one after the other.")
    schedules = open_schedules(settings, stack, progress)
    if place := source or sink:
        cron = schedules.remove_moving("ingest" if source else "export", use_case, place)
    else:
        cron = schedules.remove(use_case)
    if cron is None:
        there = ", ".join(each.words for each in schedules.listed()) or "none"
        raise UsageError(f"{use_case} has no such schedule; those there are: {there}.")
    return {"use_case": use_case, "place": place, "cron": cron}


def open_schedules(settings: Settings, stack: str, progress: Progress) -> Any:
    """What schedules are made with, on a stack of a cluster.

    Raises:
        UsageError: it is none.
    """
    session = open_session(settings, stack, progress)
    from pipelines import schedules

    schedules.require_cluster(stack, remote=session.databases is None)
    return schedules


def apply_stack(settings: Settings, stack: str, progress: Progress, file: Path | None) -> Document:
    """Apply a stack file: `file`, or else the one of the stack's name."""
    from stacks import session, spec

    with progress.stage("stack"):
        path = file or spec.named(stack)
        changes = session.open_file(path, settings).changes
    return {"file": str(file or path.relative_to(PROJECT)), "changes": changes}


def show_stack(settings: Settings, stack: str) -> Document:
    """The parts of a stack as ZenML has them."""
    from stacks import session, spec

    session.open_store_of(spec.named(stack), settings)
    from stacks.apply import find

    found = find(stack)
    if found is None:
        raise UsageError(
            f"The stack {stack!r} was not applied yet: python run.py stack apply stacks/{stack}.yaml"
        )
    parts = {
        kind.value: {
            "name": component.name,
            "flavor": component.flavor_name,
            "configuration": component.configuration,
        }
        for kind, components in found.components.items()
        for component in components
    }
    return {"stack": found.name, "parts": parts}


def _ask_example(address: str, use_case: str) -> Document:
    import json
    import shlex

    import usecases
    from serving import client

    request = dict(usecases.load(use_case).example)
    with client.connect(address) as endpoint:
        answer = endpoint.predict(request)
    body = shlex.quote(json.dumps(request))
    curl = f"curl -s {address}/predict -H 'Content-Type: application/json' -d {body}"
    return {"request": request, "response": answer, "curl": curl}


def _train(
    session: Session, progress: Progress, use_case: str, *, release: bool = False, **options: Any
) -> Document:
    import usecases
    from db.releases import person
    from pipelines.training import train as run_training
    from training import plan as plans

    case = usecases.load(use_case)
    with progress.stage("data"):
        plan = plans.make(case, downloads=session.settings.home / "downloads", **options)
        if session.databases is None:
            plan = plans.upload(plan, session.folder)
    # Two trainings of one use case would each promote against a champion that the other replaces.
    with (
        session.alone(f"train {use_case}"),
        progress.pipeline("train"),
    ):
        # In a cluster the run itself goes on to release: it outlives this command.
        trained = run_training(
            plan,
            person() if release and session.databases is None else None,
            require_approval=session.settings.require_approval,
        )
    document = training_document(plan, trained)
    if trained.released is not None:
        document["release"] = document_of(use_case, trained.released, trained.run.name)
    return document


def training_document(plan: Plan, trained: Trained) -> Document:
    """What was trained, how it did, and what became of it."""
    import usecases

    case = usecases.load(plan.use_case)
    promotion = trained.promotion
    champion = promotion.version if promotion.promoted or promotion.stands else promotion.before
    return {
        "use_case": plan.use_case,
        "title": case.title,
        "source": plan.source,
        "rows": {
            "read": trained.rows,
            "dropped": dict(trained.dropped),
            "kept": trained.rows - sum(trained.dropped.values()),
            "validation": trained.evaluation.scores.overall.rows,
        },
        "metric": {"name": case.metric.name, "unit": case.metric.unit, "direction": case.metric.direction},
        "candidates": [
            {
                "candidate": result.candidate,
                "score": result.scores.overall.value,
                "seconds": round(result.seconds, 2),
                "trials": result.trials,
                "parameters": result.parameters,
            }
            for result in trained.comparison.results
        ],
        "winner": trained.comparison.winner,
        "score": trained.evaluation.scores.overall.value,
        "reference": trained.evaluation.reference,
        "reference_score": trained.evaluation.reference_scores.overall.value,
        "slices": {
            name: {
                value: {
                    "score": score.value,
                    "rows": score.rows,
                    "reference_score": trained.evaluation.reference_scores.slices[name][value].value,
                }
                for value, score in values.items()
            }
            for name, values in trained.evaluation.scores.slices.items()
        },
        "gates": [verdict.model_dump() for verdict in trained.judgement.verdicts],
        "passed": trained.judgement.passed,
        "version": promotion.version,
        "champion_before": promotion.before,
        "champion": champion,
        "promoted": promotion.promoted,
        "champion_stands": promotion.stands,
        "run": trained.run.name,
    }
