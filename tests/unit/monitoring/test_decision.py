"""What is done about a model in service, case by case, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from monitoring.check import Check, Finding
from monitoring.decision import TRIES, Attempt, Champion, Checked, Decision, Evidence, Serving, decide

CODE = {"code": "c1", "lock": "l1", "python": "3.11"}
NOVEMBER, DECEMBER = {"2023-11.parquet": "n"}, {"2023-12.parquet": "d"}
DRIFT = Finding(kind="drift", sentence="trip_distance moved by 0.21.", retrain=True)
GAPS = Finding(kind="quality", sentence="passenger_count is missing in 40% of the rows.", retrain=False)


def champion(**changes: Any) -> Champion:
    known: dict[str, Any] = {
        "version": 1,
        "trained_on": NOVEMBER,
        "made_with": CODE,
        "released": True,
        "failed_releases": 0,
        "failure": None,
    }
    return Champion(**known | changes)


def evidence(**changes: Any) -> Evidence:
    """Of a use case where all is well, but for the changes."""
    known: dict[str, Any] = {
        "use_case": "taxi",
        "champion": champion(),
        "serving": Serving(version=1, why="champion", by="ann@host"),
        "source": "trips",
        "window": 3,
        "files": NOVEMBER,
        "lie": {},
        "made_with": CODE,
        "attempt": "a",
        "earlier": [],
        "check": None,
    }
    return Evidence(**known | changes)


def checked(*findings: Finding) -> Checked:
    check = Check(
        use_case="taxi",
        model_version=1,
        since=datetime(2024, 1, 1, tzinfo=UTC),
        until=datetime(2024, 1, 31, 18, 30, tzinfo=UTC),
        rows=61_000,
        compared=50_000,
        outcomes=60_500,
        reference_rows=20_000,
        shifts=[],
        prediction=None,
        quality=[],
        performance=None,
        estimated=None,
        findings=list(findings),
    )
    return Checked(id=7, check=check)


def lost(status: Any = "done", number: int = 4) -> Attempt:
    return Attempt(decision=number, status=status, reason="rmse 4.2 beside the champion's 4.1")


def retrains(decision: Decision) -> bool:
    return decision.decision == "retrain"


def test_when_all_is_well_nothing_is_done_and_the_reasons_say_what_was_looked_at() -> None:
    assert decide(evidence(check=checked())) == Decision(
        decision="nothing",
        reasons=[
            "Check 7 of version 1, of 61,000 predictions and 60,500 outcomes until 2024-01-31 18:30 UTC, "
            "asks for no new model.",
            "Version 1 has learnt from the 1 file at trips.",
        ],
    )


def test_without_a_champion_the_first_is_trained() -> None:
    assert decide(evidence(champion=None, serving=None)) == Decision(
        decision="retrain", reasons=["There is no champion yet, and 1 file at trips to learn from."]
    )


def test_a_new_file_asks_for_a_retraining_and_is_named() -> None:
    assert decide(evidence(files=NOVEMBER | DECEMBER)) == Decision(
        decision="retrain",
        reasons=["Of 2 files at trips, version 1 has not learnt from 1: 2023-12.parquet."],
    )


def test_a_file_with_other_bytes_is_new_and_one_of_another_name_is_not() -> None:
    decision = decide(evidence(files={"2023-11.parquet": "corrected"}))
    assert retrains(decision)
    assert "2023-11.parquet (changed)" in decision.reasons[0]
    assert not retrains(decide(evidence(files={"renamed.parquet": "n"})))


def test_a_file_that_is_gone_asks_for_nothing() -> None:
    assert not retrains(decide(evidence(champion=champion(trained_on=NOVEMBER | DECEMBER))))


def test_a_check_that_asks_for_it_has_its_findings_among_the_reasons() -> None:
    """The window has the newest of the files that the champion learnt from: so another model comes."""
    decision = decide(evidence(champion=champion(trained_on=NOVEMBER | DECEMBER), check=checked(GAPS, DRIFT)))
    assert decision == Decision(
        decision="retrain",
        reasons=[
            "Check 7 of version 1, of 61,000 predictions and 60,500 outcomes until 2024-01-31 18:30 UTC, "
            "asks for a new model: trip_distance moved by 0.21."
        ],
    )


def test_a_check_that_a_new_model_would_not_mend_asks_for_nothing_and_is_told() -> None:
    decision = decide(evidence(check=checked(GAPS)))
    assert not retrains(decision)
    assert "asks for no new model: passenger_count is missing in 40%" in decision.reasons[0]


def test_drift_alone_does_not_train_the_same_model_once_more() -> None:
    decision = decide(evidence(check=checked(DRIFT)))
    assert decision.decision == "nothing"
    assert "version 1 is what a training on 1 file at trips gives" in decision.reasons[-1]
    assert retrains(decide(evidence(check=checked(DRIFT), made_with=CODE | {"code": "c2"})))


def test_what_lost_once_is_not_trained_again() -> None:
    decision = decide(evidence(files=NOVEMBER | DECEMBER, earlier=[lost("failed", 5), lost("done", 4)]))
    assert decision.decision == "nothing"
    assert "2023-12.parquet" in decision.reasons[0]
    assert (
        "(decision 4), and the champion was not beaten: rmse 4.2 beside the champion's 4.1."
        in decision.reasons[1]
    )


def test_what_failed_or_was_killed_is_tried_so_often_and_then_left_to_a_person() -> None:
    for failures in range(TRIES + 1):
        earlier = [lost("failed" if number % 2 else "abandoned") for number in range(failures)]
        assert retrains(decide(evidence(files=DECEMBER, earlier=earlier))) is (failures < TRIES)


def test_a_champion_that_was_never_released_is_released_before_anything_else() -> None:
    unreleased = champion(version=2, released=False)
    decision = decide(evidence(champion=unreleased, files=DECEMBER))
    assert decision == Decision(
        decision="release", reasons=["Version 2 is champion and was never released; version 1 serves."]
    )
    assert "nothing serves" in decide(evidence(champion=unreleased, serving=None)).reasons[0]


def test_a_release_that_fails_again_and_again_is_left_to_a_person() -> None:
    for failures in range(TRIES + 1):
        unreleased = champion(version=2, released=False, failed_releases=failures, failure="port taken")
        decision = decide(evidence(champion=unreleased))
        assert decision.decision == ("release" if failures < TRIES else "nothing")
    assert "port taken" in decision.reasons[-1]


def test_what_a_person_put_in_the_champions_place_stays() -> None:
    decision = decide(
        evidence(champion=champion(version=2), serving=Serving(version=1, why="rollback", by="ann@host"))
    )
    assert decision.decision == "nothing"
    assert (
        decision.reasons[0]
        == "Version 2 is champion, and ann@host put version 1 in its place (rollback); so it stays."
    )


def test_evidence_comes_back_from_the_record_as_it_was() -> None:
    known = evidence(check=checked(DRIFT), earlier=[lost()])
    assert Evidence.model_validate(known.model_dump(mode="json")) == known
