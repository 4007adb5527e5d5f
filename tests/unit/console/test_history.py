"""What a person reads of the releases of a use case."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from console import reports

RELEASE = {
    "id": 12,
    "created_at": "2026-11-26T08:15:00Z",
    "model_version": 3,
    "status": "rolling_out",
    "why": "version 3 was asked for",
    "reason": None,
    "released_by": "someone@somewhere",
    "bento": "taxi:3-abc",
    "image": None,
    "zenml_run": None,
}


def lines(*releases: dict[str, Any], stream: dict[str, Any] | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    with console.capture() as captured:
        console.print(
            reports.history({"use_case": "taxi", "releases": releases, "stream": stream, "drift": []}),
            highlight=False,
        )
    return captured.get().splitlines()


def test_a_release_is_a_line_with_its_reason_and_its_bento() -> None:
    (_, line) = lines(RELEASE)
    assert "rolling out  version 3 was asked for  someone@somewhere  taxi:3-abc" in line


def test_an_image_is_named_by_the_beginning_of_its_digest() -> None:
    (_, line) = lines(RELEASE | {"image": f"registry.example.com/taxi:3@sha256:{'0123456789abcdef' * 4}"})
    assert line.rstrip().endswith("  sha256:0123456789ab")


def test_of_one_that_failed_the_first_line_of_why_is_shown_as_it_is() -> None:
    (_, line) = lines(RELEASE | {"status": "failed", "reason": "It ended [bold]: code 1\nand its log"})
    assert "failed: It ended [bold]: code 1  version 3" in line


def test_a_stream_in_the_cluster_is_a_line_of_its_own() -> None:
    stream = {"name": "taxi-stream", "version": 3, "image": "x", "workers": 2, "ready": 1}
    assert lines(RELEASE, stream=stream)[-1].strip() == (
        "Its stream, taxi-stream, scores by version 3: 1 of 2 workers ready."
    )


def test_where_nothing_was_released_it_says_how_to() -> None:
    (line,) = lines()
    assert line.endswith("python run.py release taxi")
