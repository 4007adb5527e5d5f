"""Score an input from where its output stands to its end."""

from __future__ import annotations

from typing import Any

from errors import UsageError
from scoring.record import Record, Source, Target
from scoring.rows import Scorer


def score(source: Source, target: Target, scorer: Scorer, plan: dict[str, Any]) -> Record:
    """Score what the output does not have yet; killed at any point, it goes on there when called again.

    Raises:
        UsageError: the output holds a scoring of something else.
        DataError: the input cannot be read, or lacks a column; what was scored before stays.
    """
    scorer.check(source.columns)
    plan = {**plan, "input": dict(source.mark())}
    record = target.recorded()
    if record is None:
        record = Record(plan=plan)
        target.begin(record)
    elif record.plan != plan:
        raise UsageError(_another(record.plan, plan))
    if record.finished:
        return record
    for chunk in source.chunks(record.position):
        scored = scorer.score(chunk.rows, as_text=source.as_text)
        record = record.model_copy(
            update={
                "parts": record.parts + 1,
                "rows": record.rows + len(chunk.rows),
                "refused": record.refused + len(scored.refused),
                "position": chunk.position,
            }
        )
        target.write(record, scored)
    record = record.model_copy(update={"finished": True})
    target.finish(record)
    return record


def _another(there: dict[str, Any], wanted: dict[str, Any]) -> str:
    differ = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    said = [
        f"  {name}: {_short(there.get(name))} there, {_short(wanted.get(name))} now"
        for name in differ
        if name != "input"
    ]
    if "input" in differ:
        said.append("  the input: not the one of then, or changed since")
    return (
        "At --output there is a scoring of something else:\n" + "\n".join(said) + "\n"
        "Ask for the same to go on with it, name another output, or delete what is there."
    )


def _short(value: Any) -> str:
    return "nothing" if value is None else ",".join(value) if isinstance(value, list) else str(value)
