"""What every command shares: `--stack` and `--json`, exit codes, and errors in one form."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import inspect
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from console.progress import Progress
from errors import ModelyardError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from settings import Settings

STACK = typer.Option(
    "--stack", metavar="NAME", show_default="local", help="Where pipelines run: a file in stacks/."
)
JSON = typer.Option("--json", help="One JSON document on stdout; everything else goes to stderr.")


_PIPED_WIDTH = 200
"""Columns where there is no terminal that has a width: tables in a file need not be narrow."""

# What a shell makes of SIGINT.
_INTERRUPTED = 130


@dataclass
class Call:
    """One run of a command: its shared options, settings and progress."""

    stack: str
    as_json: bool
    progress: Progress = field(default_factory=Progress)

    @functools.cached_property
    def settings(self) -> Settings:
        """The `MODELYARD_*` settings.

        Raises:
            UsageError: one of them is wrong.
        """
        import settings

        return settings.read()

    def answer(self, document: dict[str, Any], report: Callable[[dict[str, Any]], RenderableType]) -> None:
        """Print the result: the document as it is, or `report` of it for a person."""
        if self.as_json:
            print_json(document)
        else:
            from rich.console import Console

            console = Console(file=sys.__stdout__, soft_wrap=True)
            if not console.is_terminal:
                console.width = _PIPED_WIDTH
            console.print(report(document), highlight=False)


def command(app: typer.Typer, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
    """Register a function `(call, …)` as a command with the shared options added to its own."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [parameter for key, parameter in signature.parameters.items() if key != "call"]
        shared = [
            inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            inspect.Parameter(
                "stack",
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[str | None, STACK],
            ),
            inspect.Parameter(
                "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, JSON]
            ),
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

        @functools.wraps(function)
        def wrapper(*, context: typer.Context, stack: str | None, as_json: bool, **own: Any) -> None:
            before = context.find_object(dict) or {}
            call = Call(
                stack=stack or before.get("stack") or "local",
                as_json=as_json or bool(before.get("as_json")),
            )
            try:
                function(call, **own)
            finally:
                call.progress.rest()

        parameters = [*own, *shared]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, **options)(wrapper)
        return function

    return decorate


def main(app: typer.Typer) -> NoReturn:
    """Run the command that the arguments name, and end the process with its exit code."""
    # What a command of seconds makes is modules, schemas and rows that stay: looking for garbage among
    # them, as often as Python does by itself, takes an eighth of its time.
    gc.set_threshold(500_000)
    # Told before scikit-learn is imported: its threads wait for one another by spinning. When something else
    # wants a core, too, trees that one thread grows in two seconds take two threads a minute and more.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    leave(execute(app))


def leave(code: int) -> NoReturn:
    """End the process as `sys.exit` does, but leave memory as it is: taking it apart takes half a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            # Whoever read the output, such as `head`, had enough of it.
            with contextlib.suppress(BrokenPipeError):
                stream.flush()
    os._exit(code)


def execute(app: typer.Typer) -> int:
    """Run the command that the arguments name; returns the process's exit code."""
    # Click's own error type: typer may carry a copy of click, so it is found through the app's command.
    as_json = "--json" in sys.argv
    try:
        result = app(standalone_mode=False)
    except ModelyardError as error:
        return _failed(str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        return _failed("Interrupted.", _INTERRUPTED, as_json)
    except Exception as error:  # noqa: BLE001 - the outermost place: it is printed whole
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            if hasattr(error, "ctx") and error.ctx is not None and not as_json:
                sys.stderr.write(error.ctx.get_usage() + "\n")
            return _failed(error.format_message(), 2, as_json)
        traceback.print_exc(file=sys.__stderr__)
        return _failed(f"{type(error).__name__}: {error}", 1, as_json)
    if result == _INTERRUPTED:  # typer makes this of Ctrl-C, and says nothing
        return _failed("Interrupted.", _INTERRUPTED, as_json)
    return result if isinstance(result, int) else 0


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on the real stdout (ZenML wraps `sys.stdout`)."""
    print_line(json.dumps(document, indent=2, default=str))


def print_line(text: str) -> None:
    """The same of a text, which whoever reads stdout has at once."""
    stdout = sys.__stdout__ or sys.stdout
    stdout.write(text + "\n")
    stdout.flush()


def _failed(message: str, code: int, as_json: bool) -> int:
    if as_json:
        print_json({"error": message, "exit_code": code})
    else:
        (sys.__stderr__ or sys.stderr).write(f"{message}\n")
    return code
