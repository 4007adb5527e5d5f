"""The page of a check says all of what was found, shows the distributions, and needs nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from monitoring import plots
from monitoring.check import Check
from monitoring.comparison import Current, Reference, compare
from monitoring.report import VERDICTS, page
from tests.toy import rows, toy

SINCE, UNTIL = datetime(2026, 1, 1, 9, 30, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)
NUMBERS = pd.Series([1.0, 2.0, 2.5, np.nan])
TEXTS = pd.Series(["red", "blue", None])


def predicted(count: int, seed: int, times: float = 1.0) -> pd.DataFrame:
    """Rows with predictions that are off by 1 on average; what is asked for is so many times as much."""
    frame = rows(count, seed)
    noise = np.random.default_rng(seed).normal(size=count)
    return frame.assign(x=frame["x"] * times, prediction=frame["y"] * times + noise)


def checked(count: int = 1000, times: float = 1.0) -> tuple[Check, pd.DataFrame, pd.DataFrame]:
    before, now = predicted(2000, 0), predicted(count, 1, times)
    current = Current(now.drop(columns="y"), 7 * count, now, count)
    return compare(toy(), Reference(3, before), current, SINCE, UNTIL), before, now


def svg(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)  # noqa: S314 - it is our own


def texts(html: str) -> str:
    """What a person reads, in a line."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", html))


def test_the_verdict_comes_first_and_every_finding_is_a_sentence_on_it() -> None:
    check, before, now = checked(times=3.0)
    assert check.verdict == "retrain"
    html = page(toy(), check, before, now, ["12 predictions of version 2 & others."], "monitor_toy-1")
    read = texts(html)
    assert read.index("Retrain") < read.index("Performance, by what came true")
    for finding in check.findings:
        assert finding.sentence in read.replace("&#x27;", "'")
    for fact in ("7,000, 1,000 of them drawn", "2026-01-01 09:30:00 UTC", "version 3", "monitor_toy-1"):
        assert fact in read
    assert "12 predictions of version 2 &amp; others." in html


def test_what_drifted_is_shown_before_what_did_not() -> None:
    check, before, now = checked(times=3.0)
    captions = re.findall(r"<figcaption>(.*?)<span", page(toy(), check, before, now))
    assert captions == ["prediction", "the number", "colour"]


def test_it_loads_nothing_from_elsewhere() -> None:
    html = page(toy(), *checked())
    assert not re.search(r"(src|href|url)\s*[=(]|https?:|@import|<script", html)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_its_words(verdict: str) -> None:
    check, before, now = checked()
    shown = {"good": [], "watch": ["quality"], "retrain": ["drift"], "too few rows": ["too few rows"]}[
        verdict
    ]
    findings = [{"kind": kind, "sentence": "So.", "retrain": kind == "drift"} for kind in shown]
    found = Check.model_validate(check.model_dump() | {"findings": findings})
    assert found.verdict == verdict
    assert VERDICTS[verdict][1] in texts(page(toy(), found, before, now))


def test_a_check_of_too_few_rows_is_a_page_as_well() -> None:
    check, before, now = checked(3)
    assert check.shifts == []
    read = texts(page(toy(), check, before, now))
    assert "Only 3 predictions were logged" in read
    assert "Distributions" not in read


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (NUMBERS, NUMBERS * 100),
        (NUMBERS, NUMBERS.iloc[:0]),
        (NUMBERS, NUMBERS * np.nan),
        (pd.Series([3.0, 3.0]), pd.Series([3.0])),
        (pd.Series([0.1, 0.1]), pd.Series([0.1])),
        (pd.Series([1, 2, 3]), pd.Series([2, 3, 400])),
        (pd.Series([0.0, 1e9]), pd.Series([1e-9])),
    ],
    ids=lambda column: str(column.tolist()),
)
def test_numbers_are_drawn_whatever_they_are(before: pd.Series, now: pd.Series) -> None:
    drawn = svg(plots.numbers(before, now, "numbers"))
    assert len(drawn.findall("polygon")) == 2
    for polygon in drawn.findall("polygon"):
        points = [tuple(map(float, point.split(","))) for point in polygon.attrib["points"].split()]
        assert all(0 <= x <= plots.WIDTH and 0 <= y <= plots.HEIGHT for x, y in points)


def test_nothing_at_all_is_no_plot() -> None:
    nothing = pd.Series([], dtype=float)
    assert plots.numbers(nothing, nothing, "numbers") == ""
    assert plots.categories(nothing, nothing, "values") == ""


def test_a_value_that_is_missing_has_its_bar_and_rare_ones_are_counted() -> None:
    many = pd.Series([f"<zone {number // 2}>" for number in range(40)])
    drawn = svg(plots.categories(pd.concat([TEXTS, TEXTS, TEXTS]), many, "zones & more"))
    said = [text.text for text in drawn.findall("text")]
    assert {"missing", "red", "blue", "<zone 0>"} <= set(said)
    assert "15 others" in said
    assert drawn.attrib["aria-label"] == "zones & more"


def test_numbers_that_name_things_are_the_same_with_and_without_a_point() -> None:
    drawn = svg(plots.categories(pd.Series([1.0, 2.0]), pd.Series([1, 2]), "kinds"))
    assert [text.text for text in drawn.findall("text")] == ["1", "50.0%", "2", "50.0%"]
