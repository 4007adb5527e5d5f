"""What a person asks of a stream in a cluster, and reads of it."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from rich.console import Console, RenderableType

import run
from console import reports, stream_pods
from console.command import execute
from errors import UsageError
from releases.outcome import Outcome

STREAM = {"name": "taxi-stream", "version": 3, "image": "x", "workers": 2, "ready": 2}


def read(report: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        console.print(report, highlight=False)
    return captured.get()


def released(**changes: Any) -> dict[str, Any]:
    outcome = Outcome(
        release=7,
        model_version=3,
        bento="taxi:3-x",
        address="http://taxi",
        changed=True,
        verified=0,
        before=2,
    )
    return {"use_case": "taxi", **outcome.model_copy(update=changes).model_dump()}


def test_what_was_given_is_handed_through_to_the_workers() -> None:
    asked = stream_pods.asked(3, "10m", {"requests": "trips", "group": None})
    assert (asked.arguments, asked.count) == (["--requests=trips", "--window=10m"], 3)
    with pytest.raises(UsageError, match="An interval is"):
        stream_pods.asked(None, "soon", {})


def test_it_says_what_scores_and_where_to_look() -> None:
    document = {"use_case": "taxi", "namespace": "models", "stream": STREAM}
    said = read(stream_pods.report(document))
    assert "taxi-stream scores by version 3 in models: 2 of 2 workers ready." in said
    assert "kubectl --namespace models logs deployment/taxi-stream --follow" in said
    assert "goes on there" in read(stream_pods.report(document | {"stream": None}))


def test_a_release_says_whether_the_stream_followed() -> None:
    assert "stream" not in read(reports.release(released()))
    assert "The stream taxi-stream scores by it, too." in read(
        reports.release(released(stream="taxi-stream"))
    )
    trouble = {"stream": "taxi-stream", "stream_trouble": "The pod [a] ended."}
    for changed in (True, False):
        said = read(reports.release(released(**trouble, changed=changed)))
        assert "The stream taxi-stream did not follow: The pod [a] ended." in said


@pytest.mark.parametrize("option", ["--workers=2", "--stop", "--render"])
def test_on_this_machine_there_are_no_pods_to_ask_for(
    option: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "stream", "taxi", option])
    assert execute(run.app) == UsageError.exit_code
    assert "are for a cluster" in capfd.readouterr().err
