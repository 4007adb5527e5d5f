"""Progress: plain lines when piped, a mark on a terminal, and the steps of a pipeline as stages."""

from __future__ import annotations

import io
import logging
import re

import pytest
from rich.console import Console

from console.progress import Progress


@pytest.fixture
def piped() -> Progress:
    return Progress(console=Console(file=io.StringIO(), force_terminal=False, width=20))


def _shown(progress: Progress) -> str:
    assert isinstance(progress.console.file, io.StringIO)
    return progress.console.file.getvalue()


def test_a_finished_stage_is_a_plain_line_however_narrow_the_pipe(piped: Progress) -> None:
    with piped.stage("a stage whose name is longer than the console is wide"):
        assert _shown(piped) == ""

    pattern = r"a stage whose name is longer than the console is wide: \d+\.\d s\n"
    assert re.fullmatch(pattern, _shown(piped))
    assert [time.name for time in piped.times] == ["a stage whose name is longer than the console is wide"]
    assert piped.times[0].seconds >= 0


def test_brackets_in_a_name_are_shown_as_they_are(piped: Progress) -> None:
    with piped.stage("[bold]x[/bold]"):
        pass

    assert _shown(piped).startswith("[bold]x[/bold]: ")


def test_a_stage_that_fails_is_not_shown_as_finished(piped: Progress) -> None:
    with pytest.raises(ZeroDivisionError), piped.stage("divide"):
        raise ZeroDivisionError

    assert _shown(piped) == ""
    assert piped.times == []


def test_a_terminal_gets_a_mark_and_its_spinner_is_gone_afterwards() -> None:
    progress = Progress(console=Console(file=io.StringIO(), force_terminal=True, width=80))

    with progress.stage("train"):
        assert progress._status is not None

    assert progress._status is None
    assert "✓" in _shown(progress)
    assert "train" in _shown(progress)


def test_a_failed_stage_leaves_no_spinner_on_the_terminal() -> None:
    progress = Progress(console=Console(file=io.StringIO(), force_terminal=True, width=80))

    with pytest.raises(ZeroDivisionError), progress.stage("divide"):
        raise ZeroDivisionError

    assert progress._status is None
    assert "✓" not in _shown(progress)


def test_the_steps_of_a_pipeline_are_stages_and_cached_ones_took_no_time(
    piped: Progress, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="zenml")
    logger = logging.getLogger("zenml.orchestrators.step_launcher")

    with piped.pipeline("train"):
        logger.info("Using cached version of step `ingest`.")
        logger.info("Step `clean` has started.")
        logger.info("Step `clean` has finished in `0.1s`.")
        logger.info("Dashboard URL for Pipeline Run: somewhere")

    assert [(time.name, time.cached) for time in piped.times] == [
        ("train: ingest", True),
        ("train: clean", False),
    ]
    assert piped.times[0].seconds == 0.0
    first, second = _shown(piped).splitlines()
    assert first == "train: ingest: from the cache"
    assert re.fullmatch(r"train: clean: \d+\.\d s", second)


def test_after_a_pipeline_nothing_listens_to_zenml_any_more(
    piped: Progress, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="zenml")

    with pytest.raises(ZeroDivisionError), piped.pipeline("train"):
        raise ZeroDivisionError
    logging.getLogger("zenml").info("Using cached version of step `late`.")

    assert piped.times == []
