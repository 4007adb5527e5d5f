from __future__ import annotations

import pytest

from tests.toy import TOY, toy
from training.difference import Difference
from training.evaluation import Evaluation, Score, Scores
from training.gates import judge
from usecases.base import Gates, Metric


def scores(overall: float, red: float, blue: float, rows: int = 100) -> Scores:
    return Scores(
        overall=Score(value=overall, rows=2 * rows),
        slices={"colour": {"red": Score(value=red, rows=rows), "blue": Score(value=blue, rows=rows)}},
    )


def evaluation(own: Scores, reference: Scores, champion: int | None = 1) -> Evaluation:
    return Evaluation(
        candidate="linear",
        scores=own,
        reference="champion 1",
        reference_scores=reference,
        champion=champion,
    )


def verdicts(own: Scores, reference: Scores, champion: int | None = 1) -> dict[str, bool]:
    judgement = judge(TOY, evaluation(own, reference, champion))
    return {verdict.gate: verdict.passed for verdict in judgement.verdicts}


def test_a_better_model_passes_every_gate() -> None:
    assert verdicts(scores(0.5, 0.5, 0.5), scores(0.6, 0.6, 0.6)) == {
        "bound": True,
        "champion": True,
        "slices": True,
    }


def test_the_bound_itself_is_good_enough_and_anything_worse_is_not() -> None:
    assert verdicts(scores(1.0, 1.0, 1.0), scores(1.0, 1.0, 1.0))["bound"]
    assert not verdicts(scores(1.0001, 1.0, 1.0), scores(1.1, 1.1, 1.1))["bound"]


def test_a_model_may_be_worse_than_the_champion_by_the_tolerance_and_no_more() -> None:
    assert verdicts(scores(0.505, 0.5, 0.5), scores(0.5, 0.5, 0.5))["champion"]
    assert not verdicts(scores(0.506, 0.5, 0.5), scores(0.5, 0.5, 0.5))["champion"]


def test_a_retrained_model_must_be_better_and_the_tolerance_is_not_for_it() -> None:
    judged = evaluation(scores(0.495, 0.5, 0.5), scores(0.5, 0.5, 0.5))
    for upper, passed in ((-0.001, True), (0.0, False), (0.001, False), (None, False)):
        found = difference(-0.005, upper)
        (_, verdict, _) = judge(TOY, judged, found).verdicts
        assert (verdict.gate, verdict.passed) == ("champion", passed), verdict.reason
    assert judge(TOY, judged).passed


def test_the_gate_says_by_how_much_and_from_what_it_knows() -> None:
    judged = evaluation(scores(0.45, 0.5, 0.5), scores(0.5, 0.5, 0.5))
    (_, verdict, _) = judge(TOY, judged, difference(-0.05, -0.0312)).verdicts
    assert verdict.reason == (
        "rmse 0.45 beside the champion's 0.5 on the same rows: by -0.05, in 95 of 100 samples below -0.0312 "
        "(1,000 samples of 10 days), must be below 0: better beyond chance"
    )
    (_, verdict, _) = judge(TOY, judged, difference(-0.05, None)).verdicts
    assert verdict.reason.endswith(
        "10 days cannot tell it from chance, must be better: not better beyond chance"
    )


def difference(value: float, upper: float | None) -> Difference:
    return Difference(value=value, error=0.01, upper=upper, blocks=10, of="days", samples=1_000)


def test_without_a_champion_there_is_no_champion_gate() -> None:
    assert "champion" not in verdicts(scores(0.5, 0.5, 0.5), scores(0.6, 0.6, 0.6), champion=None)


def test_one_slice_that_got_much_worse_stops_a_model_that_is_better_overall() -> None:
    judgement = judge(TOY, evaluation(scores(0.4, 0.1, 0.7), scores(0.5, 0.5, 0.5)))
    assert not judgement.passed
    (verdict,) = [verdict for verdict in judgement.verdicts if verdict.gate == "slices"]
    assert "colour blue is 1.400 times as bad" in verdict.reason


def test_a_slice_with_too_few_rows_is_not_judged() -> None:
    assert verdicts(scores(0.4, 0.1, 9.0, rows=19), scores(0.5, 0.5, 0.5, rows=19))["slices"]


@pytest.mark.parametrize(("own", "passed"), [(0.80, True), (0.79, False)])
def test_where_more_is_better_the_bound_is_a_floor(own: float, passed: bool) -> None:
    case = toy(
        metric=Metric("auc", lambda truth, predictions: 0.0, "maximize"),
        gates=Gates(bound=0.8, champion_tolerance=0.5, slice_ratio=2, slice_min_rows=1),
    )
    (verdict, *_) = judge(case, evaluation(scores(own, 0.8, 0.8), scores(0.8, 0.8, 0.8))).verdicts
    assert verdict.passed is passed
    assert "at least 0.8" in verdict.reason


def test_a_perfect_reference_makes_any_error_infinitely_worse_and_no_error_equal() -> None:
    assert not verdicts(scores(0.1, 0.1, 0.1), scores(0.0, 0.0, 0.0))["champion"]
    assert verdicts(scores(0.0, 0.0, 0.0), scores(0.0, 0.0, 0.0))["champion"]
