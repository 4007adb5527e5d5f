"""`backup`, `restore`, `gc`, `import-zenml`: what keeps a platform's data, and what frees room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console import upkeep_reports
from console.command import Call, command

app = typer.Typer()


@command(app)
def backup(
    call: Call, file: Annotated[Path, typer.Argument(help="A tar file to make; it holds ZenML's key, too.")]
) -> None:
    """Save the databases, artifacts and Bentos, as they are at one moment, to a file; work may go on.

    Example: [b]python run.py backup modelyard-2026-11-26.tar[/b]
    """
    from console import upkeep as console

    call.answer(console.backup(call.settings, call.progress, file), upkeep_reports.saved)


@command(app)
def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Give up the databases that are here already.")
    ] = False,
) -> None:
    """Put a backup back: checked first, then all of it or nothing; also into another home folder.

    Examples: [b]python run.py restore modelyard-2026-11-26.tar[/b] ·
    [b]python run.py restore modelyard-2026-11-26.tar --replace[/b]
    """
    from console import upkeep as console

    call.answer(console.restore(call.settings, call.progress, file, replace=replace), upkeep_reports.restored)


@command(app)
def gc(
    call: Call,
    keep: Annotated[
        str,
        typer.Option(
            metavar="20|30d",
            help="What stays in any case: so many of the newest runs of each pipeline and versions of each "
            "model, or all that is younger than an age in hours, days or weeks: 48h, 30d, 12w.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
) -> None:
    """Free what nothing needs any more: old runs, their artifacts and logs, models, superseded Bentos.

    What endpoints logged goes after the days of MODELYARD_KEEP_PREDICTIONS.
    Champions, approved and released versions, and the runs and artifacts that made them always stay.

    Examples: [b]python run.py gc --keep 30d --dry-run[/b] · [b]python run.py gc --keep 20[/b]
    """
    from console import upkeep as console

    document = console.collect(call.settings, call.stack, call.progress, keep, dry_run=dry_run)
    call.answer(document, upkeep_reports.collected)


@command(app, "import-zenml")
def import_zenml(
    call: Call,
    source: Annotated[
        str, typer.Argument(help="sqlite:///FILE, or mysql://USER@HOST/DATABASE with MYSQL_PWD set.")
    ],
) -> None:
    """Move an existing ZenML store from SQLite or MySQL to PostgreSQL; the source is only read.

    When the source encrypts its secrets, set ZENML_SECRETS_STORE_ENCRYPTION_KEY to its key. Interrupted, it
    leaves nothing and can be done again.

    Example: [b]python run.py import-zenml sqlite:///$HOME/.config/zenml/local_stores/default_zen_store/zenml.db[/b]
    """
    from console import upkeep as console

    call.answer(console.import_zenml(call.settings, call.progress, source), upkeep_reports.imported)
