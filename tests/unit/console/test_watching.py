"""The rounds of `watch`: how far apart they are, and the line that each leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from console.watching import Said, ask, line, pause, seconds
from errors import UsageError

CHECK = {"new": True, "check": {"verdict": "good"}}
NOTHING = {"decision": "nothing", "reasons": ["All is learnt from."]}


@pytest.mark.parametrize(("interval", "found"), [("90s", 90), ("10m", 600), ("2h", 7200)])
def test_an_interval_has_a_unit(interval: str, found: float) -> None:
    assert seconds(interval) == found


@pytest.mark.parametrize("interval", ["", "90", "0s", "-1m", "1.5h", "10 m", "1d"])
def test_what_is_no_interval_is_answered_with_some_that_are(interval: str) -> None:
    with pytest.raises(UsageError, match="90s, 10m, 1h"):
        seconds(interval)


def test_rounds_that_fail_are_further_and_further_apart_up_to_an_hour() -> None:
    assert [pause(600, failures) for failures in range(5)] == [600, 1200, 2400, 3600, 3600]
    assert pause(600, 10_000) == 3600
    assert pause(7200, 3) == 7200


def test_a_line_says_what_was_found_decided_and_done() -> None:
    assert said(CHECK, NOTHING) == "taxi: check good | nothing: All is learnt from."
    done = {
        "decision": "retrain",
        "reasons": ["A file is new."],
        "training": {"version": 2, "promoted": True, "champion_stands": False},
        "release": {"model_version": 2, "address": "http://127.0.0.1:3000"},
    }
    assert said(CHECK, done).endswith(
        "retrain: A file is new. → version 2 is champion → version 2 serves at http://127.0.0.1:3000"
    )


def test_of_an_error_the_first_line_is_said_and_where_the_rest_is() -> None:
    failed = line("taxi", Said(0, CHECK), Said(1, {"error": "The disk is full.\nMore"}), Path("watch.log"))
    assert failed == "taxi: check good | The disk is full. (more in watch.log)"
    busy = line("taxi", Said(0, CHECK), Said(4, {"error": "Another process is at it."}), Path("watch.log"))
    assert busy == "taxi: check good | Another process is at it."


def test_a_command_that_dies_without_an_answer_is_one_that_failed(tmp_path: Path) -> None:
    answer = ask(tmp_path / "log", "no-such-command")
    assert answer.failed
    assert answer.document["exit_code"] == 2


def test_interrupted_it_interrupts_the_command_and_waits_for_its_end(tmp_path: Path) -> None:
    """The command needs a while to put things in order, and is given it."""
    (tmp_path / "run.py").write_text(
        "import pathlib, threading\n"
        "pathlib.Path('began').touch()\n"
        "try:\n    threading.Event().wait()\n"
        "except KeyboardInterrupt:\n    pathlib.Path('in order').touch()\n"
    )
    script = (
        "import sys, pathlib\nfrom console import watching\n"
        "watching.take_signals()\n"
        "watching.PROJECT = pathlib.Path(sys.argv[1])\n"
        "try:\n    watching.ask(pathlib.Path(sys.argv[1]) / 'log', 'retrain')\n"
        "except KeyboardInterrupt:\n    print('ended', flush=True)\n"
    )
    in_background = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    command = [*in_background, sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        deadline = threading.Event()
        while not (tmp_path / "began").exists():
            assert process.poll() is None
            deadline.wait(0.02)
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=30)
    assert stdout == b"ended\n"
    assert (tmp_path / "in order").exists()


def said(checked: dict[str, Any], retrained: dict[str, Any]) -> str:
    as_read = json.loads(json.dumps(retrained))
    return line("taxi", Said(0, checked), Said(0, as_read), Path("watch.log"))
