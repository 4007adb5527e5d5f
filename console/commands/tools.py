"""`zenml` and `mlflow`: these tools' own command lines, on this project's stores."""

from __future__ import annotations

import typer

from console.command import Call

app = typer.Typer()

_WHOLE = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_WHOLE)
def zenml(context: typer.Context) -> None:
    """ZenML's own command line, on this project's store.

    Example: [b]python run.py zenml pipeline runs list[/b]
    """
    from console.tools import zenml as tool

    shared = context.find_object(dict) or {}
    call = Call(stack=shared.get("stack") or "local", as_json=False)
    tool(call.settings, context.args, call.stack)


@app.command(context_settings=_WHOLE)
def mlflow(context: typer.Context) -> None:
    """MLflow's own command line, on this project's store.

    Example: [b]python run.py mlflow experiments search[/b]
    """
    from console.tools import mlflow as tool

    tool(Call(stack="local", as_json=False).settings, context.args)
