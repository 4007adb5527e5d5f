"""Whether a canary does as well as the pods beside it, by what all of them count."""

from __future__ import annotations

import pytest

from releases.kubernetes import canary
from releases.kubernetes.canary import Counts, Growth
from serving.metrics import Metrics
from serving.ranges import Ranges
from usecases.titanic.contract import PassengerRequest


def test_only_predictions_count_and_only_what_the_endpoint_failed_at_is_an_error() -> None:
    ranges = Ranges(PassengerRequest, {"rows": 0, "columns": {}})
    metrics = Metrics(None, {"model": "titanic", "version": "1"}, ranges)
    answered = [("predict", 200, 90), ("predict_batch", 422, 5), ("infer", 500, 5), ("other", 500, 700)]
    for route, status, count in answered:
        for _ in range(count):
            metrics.begin()
            metrics.end(route, status, 0.01)
    found = canary.counts(metrics.exposition().decode())
    assert (found.requests, found.errors) == (100, 5)
    assert found.seconds == pytest.approx(1.0)


def test_what_was_counted_before_does_not_count() -> None:
    growth = Growth()
    growth.see({"a": Counts(1000, 500, 90.0)})
    growth.see({"a": Counts(1010, 500, 90.1)})
    assert growth.total().requests == 10
    assert growth.total().errors == 0


def test_a_pod_that_went_meanwhile_keeps_its_part() -> None:
    growth = Growth()
    growth.see({"a": Counts(), "b": Counts(5, 0, 0.0)})
    growth.see({"a": Counts(7, 0, 0.0), "b": Counts(6, 0, 0.0)})
    growth.see({"b": Counts(9, 0, 0.0)})
    assert growth.total().requests == 11


@pytest.mark.parametrize(
    ("stable", "share", "replicas"), [(9, 0.1, 1), (2, 0.1, 1), (18, 0.1, 2), (1, 0.5, 1), (2, 0.6, 3)]
)
def test_pods_are_as_many_as_come_nearest_to_the_share(stable: int, share: float, replicas: int) -> None:
    assert canary.replicas(stable, share) == replicas


def test_a_share_that_the_pods_do_not_allow_is_said() -> None:
    assert canary.share_in_words(9, 1, 0.1) == "1 of 10 pods, 10% of the requests"
    assert canary.share_in_words(2, 1, 0.1) == (
        "1 of 3 pods, 33% of the requests; 10% would take 9 pods beside one"
    )


GOOD = Counts(1000, 0, 6.0)


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        (Counts(100, 0, 0.6), None),
        (Counts(49, 0, 0.3), "only 49 requests reached it, and 50 are needed to compare"),
        (Counts(100, 5, 0.6), "it failed at 5 of 100 requests (5.0%), the others at 0.0%"),
        (Counts(100, 0, 1.4), None),
        (Counts(100, 0, 1.5), "it took 15.0 ms to answer, the others 6.0; up to 14.0 would do"),
    ],
)
def test_a_canary_goes_when_it_does_worse(beside: Counts, why: str | None) -> None:
    assert canary.verdict(GOOD, beside) == why


def test_a_canary_is_not_to_blame_for_what_fails_everywhere() -> None:
    assert canary.verdict(Counts(1000, 100, 6.0), Counts(100, 10, 0.6)) is None


@pytest.mark.parametrize("text", ["10%", "10", " 10.0% "])
def test_a_share_is_read_with_and_without_its_sign(text: str) -> None:
    assert canary.percent(text) == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["0", "100%", "-5%", "half", "nan"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        canary.percent(text)
