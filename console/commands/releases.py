"""Taking a release back, approving one, and what is on record of them."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.options import UseCaseName

app = typer.Typer()


@command(app)
def rollback(
    call: Call,
    use_case: UseCaseName,
    to: Annotated[
        int | None, typer.Option(min=1, show_default="the one before", help="A version that served before.")
    ] = None,
) -> None:
    """Serve an earlier version again; in a cluster it stops a release that is under way.

    What has served before needs no approval.

    Examples: [b]python run.py rollback taxi[/b] ·
    [b]python run.py --stack kubernetes rollback taxi --to 3[/b]
    """
    from console import releases, reports

    document = releases.rollback(call.settings, call.stack, call.progress, use_case, to)
    call.answer(document, reports.release)


@command(app)
def approve(
    call: Call,
    use_case: UseCaseName,
    version: Annotated[int, typer.Argument(min=1)],
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, or what was looked at.")] = None,
) -> None:
    """Find a model version fit to be released, by your name; for good, and for its files as they are now.

    Where MODELYARD_REQUIRE_APPROVAL is true, or by `release --require-approval`, only such are released.

    Example: [b]python run.py approve taxi 4 --note 'read its card with the dispatchers'[/b]
    """
    from console import audit

    call.answer(
        audit.approve(call.settings, call.stack, call.progress, use_case, version, note), audit.approved
    )


@command(app)
def history(
    call: Call,
    use_case: UseCaseName,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check all of it against the audit trail, registry and endpoints."),
    ] = False,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="HASH", help="With --verify: one that it said earlier; it has to be in the trail."
        ),
    ] = None,
) -> None:
    """Every release of a use case: when, of which version, why, by whom, and what came of it.

    With --verify: whether that is what happened, as far as can be seen; exit code 1 when it is not.

    Examples: [b]python run.py history taxi[/b] · [b]python run.py history taxi --verify[/b]
    """
    if verify or anchor:
        from console import audit

        document = audit.verify(call.settings, call.stack, call.progress, use_case, anchor)
        call.answer(document, audit.report)
        if not document["ok"]:
            raise typer.Exit(1)
        return
    from console import releases, reports

    call.answer(releases.history(call.settings, call.stack, use_case), reports.history)
