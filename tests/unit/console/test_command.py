"""The frame around every command: exit codes, one JSON document, shared options on either side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import click
import pytest
import typer

import run
from console.command import JSON, STACK, Call, command, execute
from errors import DataError, GateNotPassed, ModelyardError, ReleaseError, UsageError

Run = Callable[..., tuple[int, str, str]]

ERRORS: dict[str, type[BaseException]] = {
    error.__name__: error
    for error in (
        ModelyardError,
        DataError,
        ReleaseError,
        UsageError,
        GateNotPassed,
        ZeroDivisionError,
        KeyboardInterrupt,
    )
}


@pytest.fixture
def app() -> typer.Typer:
    """Three commands: one that answers, one that fails as it is told to, one that ends with a code."""
    app = typer.Typer(add_completion=False)

    @app.callback(invoke_without_command=True)
    def default(
        context: typer.Context,
        stack: Annotated[str | None, STACK] = None,
        as_json: Annotated[bool, JSON] = False,
    ) -> None:
        context.obj = {"stack": stack, "as_json": as_json}

    @command(app)
    def answer(call: Call, number: int = 42) -> None:
        call.answer({"stack": call.stack, "number": number}, lambda found: f"It is {found['number']}.")

    @command(app)
    def fail(call: Call, how: str) -> None:
        raise ERRORS[how]("this is why")

    @command(app)
    def end(call: Call, code: int) -> None:
        call.answer({"code": code}, lambda found: "done")
        raise typer.Exit(code)

    return app


@pytest.fixture
def run_it(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run the app with arguments → exit code, stdout, stderr."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["run.py", *arguments])
        code = execute(app)
        return code, *capfd.readouterr()

    yield run_it  # noqa: PT022 - a fixture that yields keeps capfd open


def test_a_command_that_did_its_work_ends_with_0(run_it: Run) -> None:
    assert run_it("answer") == (0, "It is 42.\n", "")


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("ModelyardError", 1),
        ("DataError", 1),
        ("ReleaseError", 1),
        ("UsageError", 2),
        ("GateNotPassed", 3),
        ("KeyboardInterrupt", 130),
    ],
)
def test_an_error_of_ours_is_one_message_on_stderr_and_its_own_code(run_it: Run, how: str, code: int) -> None:
    ended, out, err = run_it("fail", how)

    assert ended == code
    assert out == ""
    assert err == ("Interrupted.\n" if how == "KeyboardInterrupt" else "this is why\n")


def test_an_error_that_nobody_foresaw_is_printed_whole_and_ends_with_1(run_it: Run) -> None:
    code, out, err = run_it("fail", "ZeroDivisionError")

    assert code == 1
    assert out == ""
    assert "Traceback" in err
    assert err.endswith("ZeroDivisionError: this is why\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["answer", "--nonsense"], "--nonsense"),
        (["answer", "--number", "many"], "--number"),
        (["fail"], "how"),
        (["unheard-of"], "unheard-of"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_what_was_wrong(
    run_it: Run, arguments: list[str], named: str
) -> None:
    code, out, err = run_it(*arguments)

    assert code == 2
    assert out == ""
    assert named in err
    assert "Usage" in err


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_command_may_end_with_a_code_after_its_answer(run_it: Run, code: int) -> None:
    assert run_it("end", str(code)) == (code, "done\n", "")


@pytest.mark.parametrize("arguments", [["--json", "answer"], ["answer", "--json"]])
def test_with_json_the_answer_is_one_document(run_it: Run, arguments: list[str]) -> None:
    code, out, err = run_it(*arguments)

    assert code == 0
    assert json.loads(out) == {"stack": "local", "number": 42}
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fail", "DataError"], 1),
        (["fail", "GateNotPassed"], 3),
        (["fail", "ZeroDivisionError"], 1),
        (["fail", "KeyboardInterrupt"], 130),
        (["answer", "--nonsense"], 2),
        (["unheard-of"], 2),
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_with_json_an_error_is_one_document_too(
    run_it: Run, arguments: list[str], code: int, place: str
) -> None:
    ended, out, _ = run_it(*(["--json", *arguments] if place == "before" else [*arguments, "--json"]))

    assert ended == code
    document = json.loads(out)
    assert document["exit_code"] == code
    assert document["error"]


@pytest.mark.parametrize(
    ("arguments", "stack"),
    [
        (["answer"], "local"),
        (["--stack", "kubernetes", "answer"], "kubernetes"),
        (["answer", "--stack", "kubernetes"], "kubernetes"),
        (["--stack", "local", "answer", "--stack", "kubernetes"], "kubernetes"),
    ],
)
def test_the_stack_is_named_before_the_command_or_after_it(
    run_it: Run, arguments: list[str], stack: str
) -> None:
    _, out, _ = run_it(*arguments, "--json")

    assert json.loads(out)["stack"] == stack


def test_a_wrong_setting_is_wrong_usage_that_names_it_and_keeps_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELYARD_DATABASE_URL", "mysql://me:secret@host/db")
    monkeypatch.setenv("MODELYARD_ENDPOINT_PORT", "99999")

    with pytest.raises(UsageError) as wrong:
        _ = Call(stack="local", as_json=False).settings

    assert "MODELYARD_DATABASE_URL" in str(wrong.value)
    assert "MODELYARD_ENDPOINT_PORT" in str(wrong.value)
    assert "secret" not in str(wrong.value)


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[Any]:
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from _commands(found, (*path, name))
        else:
            yield pytest.param(found, id=" ".join((*path, name)))


@pytest.mark.parametrize("found", list(_commands(typer.main.get_command(run.app))))
def test_every_command_says_what_it_does_and_gives_an_example(found: click.Command) -> None:
    assert found.help is not None
    assert "Example" in found.help
    assert "python run.py" in found.help
