"""`retrain` and `decisions`: what was decided about a model, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape

from console import reports
from console.session import open_session, stages

if TYPE_CHECKING:
    from console.progress import Progress
    from settings import Settings

Document = dict[str, Any]


def retrain(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    options: Mapping[str, Any],
    *,
    window: int,
    if_needed: bool,
) -> Document:
    """Do what is to be done next about a use case's model."""
    import usecases

    usecases.load(use_case)
    session = open_session(settings, stack, progress)
    from console.jobs import retraining_options, training_document
    from console.releases import document_of
    from db.migrate import upgrade
    from pipelines import retraining

    wanted = retraining_options(options, window)
    with progress.pipeline("retrain"):
        if session.databases is None:
            done = retraining.retrain_in_cluster(
                use_case, wanted, if_needed=if_needed, require_approval=settings.require_approval
            )
        else:
            url = session.databases.modelyard
            upgrade(url)
            done = retraining.retrain(settings, url, use_case, wanted, if_needed=if_needed)
    document: Document = {
        "use_case": use_case,
        "number": done.number,
        "decision": done.decision.decision,
        "reasons": done.decision.reasons,
        "evidence": done.evidence.model_dump(mode="json"),
    }
    if done.trained is not None:
        document["training"] = training_document(done.plan, done.trained)
    if done.released is not None:
        document["release"] = document_of(use_case, done.released, None)
    return document | {"stages": stages(progress)}


def decisions(settings: Settings, stack: str, use_case: str, limit: int) -> Document:
    """The newest decisions on record; none while PostgreSQL does not run."""
    import usecases
    from console.releases import is_cluster
    from console.state import running
    from db import decisions as record
    from db.migrate import upgrade

    usecases.load(use_case)
    if is_cluster(stack):
        from monitoring.ledger import Remote
        from stacks.kubernetes import session

        session.connect(settings)
        there = Remote.of_environment().decisions(use_case, limit)
        return {"use_case": use_case, "decisions": [each.model_dump(mode="json") for each in there]}
    databases = running(settings)
    if databases is None:
        return {"use_case": use_case, "decisions": None}
    upgrade(databases.modelyard)
    found = record.history(databases.modelyard, use_case, limit=limit)
    return {"use_case": use_case, "decisions": [each.model_dump(mode="json") for each in found]}


def report(document: Document) -> RenderableType:
    """The decision, its reasons, and what was done."""
    name = document["use_case"]
    done = {
        "nothing": "nothing to do.",
        "retrain": "a new model was trained.",
        "release": "the champion was released.",
    }
    parts: list[RenderableType] = [
        f"[bold]{name}[/]: {done[document['decision']]} Decision {document['number']}:",
        *(f"  {escape(reason)}" for reason in document["reasons"]),
    ]
    if "training" in document:
        parts += ["", reports.training(document["training"])]
    if "release" in document:
        parts += ["", reports.release(document["release"])]
    if document["decision"] != "nothing":
        parts += ["", reports.times(document["stages"])]
    return Group(*parts)


def report_of_decisions(document: Document) -> RenderableType:
    """Decisions, the newest first; reasons below each other."""
    if document["decisions"] is None:
        return reports.NOTHING_RUNS
    if not document["decisions"]:
        return f"Nothing was decided yet. Decide: python run.py retrain {document['use_case']} --if-needed"
    table = reports.new_table(">decision", "when", "what", "why", "came of it", "by")
    for one in document["decisions"]:
        table.add_row(
            str(one["id"]),
            f"{datetime.fromisoformat(one['at']).astimezone():%Y-%m-%d %H:%M}",
            one["decision"],
            "\n".join(escape(reason) for reason in one["reasons"]),
            escape(came_of(one)),
            escape(one["decided_by"]),
        )
    return table


def came_of(one: Mapping[str, Any]) -> str:
    """What came of a decision, in a few words."""
    result = one["result"] or {}
    if one["status"] == "begun":
        return "under way"
    words = []
    if training := result.get("training"):
        became = (
            "is champion now"
            if training["promoted"]
            else "is champion still"
            if training["stands"]
            else "did not beat the champion"
        )
        words.append(f"version {training['version']} {became}")
    if release := result.get("release"):
        words.append(f"version {release['model_version']} serves")
    if "error" in result:
        words.append(f"{one['status']}: {str(result['error']).splitlines()[0]}")
    return "; ".join(words)
