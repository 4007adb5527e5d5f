"""Months as a person lists them."""

from __future__ import annotations

import pytest

from errors import UsageError
from training.months import expand


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("2024-01", ["2024-01"]),
        ("2024-01,2024-02", ["2024-01", "2024-02"]),
        ("2024-02, 2024-01,", ["2024-02", "2024-01"]),
        ("2023-11..2024-02", ["2023-11", "2023-12", "2024-01", "2024-02"]),
        ("2023-11 .. 2023-12", ["2023-11", "2023-12"]),
        ("2024-05..2024-05", ["2024-05"]),
        ("2023-01..2023-03,2024-01", ["2023-01", "2023-02", "2023-03", "2024-01"]),
        ("2024-01,2023-01..2023-02", ["2024-01", "2023-01", "2023-02"]),
    ],
)
def test_months_and_ranges_are_listed_with_commas_and_a_range_holds_both_of_its_ends(
    text: str, months: list[str]
) -> None:
    assert expand(text) == months


def test_a_range_of_years_holds_every_month_once() -> None:
    months = expand("2014-01..2024-12")
    assert len(months) == len(set(months)) == 132
    assert months == sorted(months)


def test_a_range_that_ends_before_it_begins_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match=r"2024-02\.\.2023-11\. Did you mean 2023-11\.\.2024-02\?"):
        expand("2024-02..2023-11")


@pytest.mark.parametrize(
    ("text", "month", "first", "second"),
    [
        ("2023-01..2023-03,2023-03..2023-05", "2023-03", "2023-01..2023-03", "2023-03..2023-05"),
        ("2023-02,2023-01..2023-03", "2023-02", "2023-02", "2023-01..2023-03"),
        ("2023-02,2023-02", "2023-02", "2023-02", "2023-02"),
    ],
)
def test_a_month_that_comes_twice_is_refused_with_both_places(
    text: str, month: str, first: str, second: str
) -> None:
    with pytest.raises(UsageError) as refused:
        expand(text)
    assert str(refused.value) == (
        f"Each month can be named once; got {month} in {first} and again in {second}."
    )


@pytest.mark.parametrize(
    "part", ["2024-1", "2024-13", "2024", "2024-01..", "..2024-01", "2024-01...2024-02", "2024-01-2024-02"]
)
def test_what_is_neither_a_month_nor_a_range_is_shown_beside_both(part: str) -> None:
    with pytest.raises(UsageError) as refused:
        expand(f"2023-01,{part}")
    assert "Months look like 2024-01, ranges like 2023-03..2024-02" in str(refused.value)
    assert repr(part) in str(refused.value)
