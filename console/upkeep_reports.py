"""What a person reads of backups, restores, moves and collections."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape

from console.reports import Document, new_table


def saved(document: Document) -> RenderableType:
    """What a backup holds."""
    return Group(
        f"Wrote {document['file']}, {_size(document['bytes'])}: {_contents(document)}.",
        "The key of ZenML's secrets is in it: keep it where only you can read it.",
    )


def restored(document: Document) -> RenderableType:
    """What came back, and how to go on."""
    return Group(
        f"Restored {document['file']} of {document['created_at']}: {_contents(document)}, each checked.",
        "Start the endpoints and pages again: python run.py up",
    )


def imported(document: Document) -> RenderableType:
    """How many rows came, by table."""
    table = new_table("table", ">rows here and there")
    for name, count in document["rows"].items():
        if count:
            table.add_row(name, f"{count:,}")
    total = sum(document["rows"].values())
    return Group(
        table,
        f"All {total:,} rows are here; the source was only read, its artifacts stay where they are.",
        f"Commands work in ZenML's project {escape(document['project'])}.",
    )


def collected(document: Document) -> RenderableType:
    """What was freed, and why some versions stay."""
    counts = {
        "ZenML runs": len(document["runs"]),
        "artifacts": document["artifacts"],
        "model versions": len(document["versions"]),
        "MLflow runs": document["mlflow_runs"],
        "Bentos": len(document["bentos"]),
        "days of predictions": len(document["prediction_days"]),
    }
    what = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    verb = "Would free" if document["dry_run"] else "Freed"
    parts: list[RenderableType] = [f"{verb} {_size(document['bytes'])}: {what}."]
    if document["stays"]:
        table = new_table("version", "stays as")
        for version, reason in document["stays"].items():
            table.add_row(version, reason)
        parts += [table, "What made these stays with them."]
    return Group(*parts)


def _contents(document: Document) -> str:
    rows = ", ".join(f"{count:,} rows of {name}" for name, count in document["rows"].items())
    return f"{rows}, {document['files']:,} files"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
