"""Releasing a version, taking it back, approving one, and what is on record of them."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.commands import replay
from console.options import UseCaseName
from errors import GateNotPassed, UsageError

app = typer.Typer()


@command(app)
def release(
    call: Call,
    use_case: UseCaseName,
    version: Annotated[str, typer.Option(help="A version's number, or `champion`.")] = "champion",
    canary: Annotated[
        str | None,
        typer.Option(metavar="10%", help="In a cluster: give it this share of the requests first."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=1, show_default="60", help="How long, in seconds.")
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Release nothing: let it answer live requests, too, as `replay --follow` does."
        ),
    ] = False,
    require_approval: Annotated[
        bool, typer.Option("--require-approval", help="Only what was approved, or served before.")
    ] = False,
    render: Annotated[
        bool, typer.Option("--render", help="For a cluster: print its manifests, and apply nothing.")
    ] = False,
) -> None:
    """Package a model version, start its endpoint, verify its answers, then stop the one before.

    A canary is compared with the others on errors and time to answer, then takes their place or is withdrawn
    (exit code 3). What was not approved where that is required is refused, with the same code. A shadow
    answers what the endpoint is asked once more, until Ctrl-C, and nobody gets its answers; then both are
    compared.

    Examples: [b]python run.py release taxi --version 3[/b] ·
    [b]python run.py release taxi --version 4 --shadow[/b] ·
    [b]python run.py --stack kubernetes release taxi --canary 10% --for 300[/b]
    """
    from console import releases, reports

    if shadow:
        if canary or seconds or require_approval or render:
            raise UsageError("--shadow releases nothing, so it goes with no other option but --version.")
        replay.shadow(call, use_case, version)
        return
    if render:
        typer.echo(releases.render(call.settings, call.stack, call.progress, use_case, version), nl=False)
        return
    document = releases.release(
        call.settings,
        call.stack,
        call.progress,
        use_case,
        version,
        canary=canary,
        seconds=seconds or 60,
        require_approval=require_approval,
    )
    call.answer(document, reports.release)
    if document["withdrawn"]:
        raise typer.Exit(GateNotPassed.exit_code)


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
