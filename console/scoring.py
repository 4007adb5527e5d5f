"""`score`: what it is asked for, what it did, and whether that is well."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from console.session import open_session, stages
from errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from console.progress import Progress
    from settings import Settings

Document = dict[str, Any]


def score(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    source: str,
    output: str,
    version: str,
    *,
    keep: str | None,
    key: str | None,
    max_refused: str,
) -> Document:
    """Score `source` into `output` by the pipeline."""
    import usecases
    from console.releases import is_cluster
    from db.foreign import keep_password
    from scoring import tables

    usecases.load(use_case)
    allowed = _share(max_refused)
    keep_password()
    shown = {place: _place(place) for place in (source, output)}
    if is_cluster(stack):
        _require_s3(stack, shown.values())
    session = open_session(settings, stack, progress)
    from pipelines.scoring import score

    with session.alone(f"score into {shown[output]}"), progress.pipeline("score"):
        # A URL in a variable stays there: what a run was asked for is on record.
        done = score(
            use_case,
            version,
            source if source.startswith("env:") else shown[source],
            output if output.startswith("env:") else shown[output],
            keep=_names(keep),
            key=_names(key),
        )
    return {
        "use_case": use_case,
        "version": done.version,
        "input": shown[source],
        "output": shown[output],
        "rows": done.rows,
        "scored": done.rows - done.refused,
        "refused": done.refused,
        "refused_at": shown[output] + ("_refused" if tables.find(output) else "/_refused"),
        "max_refused": allowed,
        "passed": done.refused <= allowed * done.rows,
        "parts": done.parts,
        "run": done.run.name,
        "stages": stages(progress),
    }


def report(document: Mapping[str, Any]) -> RenderableType:
    """How many rows are where, and whether so many may be refused."""
    from rich.console import Group
    from rich.markup import escape

    from console.reports import times

    name, output = f"{document['use_case']} version {document['version']}", escape(document["output"])
    lines = [f"[bold]{name}[/] answered {document['scored']:,} of {document['rows']:,} rows: {output}"]
    if document["refused"]:
        share = document["refused"] / document["rows"]
        verdict = (
            ""
            if document["passed"]
            else (f" [red]That is more than --max-refused {document['max_refused']:.2%}.[/]")
        )
        lines.append(
            f"{document['refused']:,} ({share:.2%}) are no valid requests; each with its reason: "
            f"{escape(document['refused_at'])}.{verdict}"
        )
    return Group(*lines, f"Run in ZenML: {document['run']}", times(document["stages"]))


def _place(text: str) -> str:
    """A place in full: on which stack and from which folder the command was given does not matter then."""
    from scoring import tables
    from usecases.files import path

    return str(tables.find(text) or path(text))


def _require_s3(stack: str, places: Any) -> None:
    for place in places:
        if not place.startswith("s3://"):
            raise UsageError(
                f"On the stack {stack!r} a pod scores, which reaches s3:// alone; {place} is not there. "
                "Put it on S3, or score it on this machine: --stack local."
            )


def _names(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def _share(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", text.strip())
    if found is None or not 0 <= float(found[1]) <= 100:
        raise UsageError(f"--max-refused takes a share such as 1%, from 0% to 100%; it is {text!r}.")
    return float(found[1]) / 100
