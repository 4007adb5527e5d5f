"""Which calls are repeated, when, and what is said once they are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from modelyard_client import InvalidRequest, Retries, Unavailable
from modelyard_client.calls import Calls
from modelyard_client.models import titanic
from modelyard_client.retries import exchange

REQUEST = httpx.Request("POST", "http://endpoint/predict", headers={"X-Request-ID": "one"})
PASSENGER = titanic.PassengerRequest(Pclass=2, Sex="female")
Came = Callable[[httpx.Request], httpx.Response | httpx.TransportError]


def run(flow: Any, came: Came) -> tuple[Any, list[float]]:
    """What a call comes to, and its pauses, none of which is waited for."""
    pauses: list[float] = []
    answer = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration as end:
            return end.value, pauses
        answer = None
        if isinstance(step, float):
            pauses.append(step)
        else:
            answer = came(step)


def in_turn(*answers: httpx.Response | httpx.TransportError) -> Came:
    left = iter(answers)
    return lambda request: next(left)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_an_answer_to_come_again_is_followed_by_another_attempt(status: int) -> None:
    answer, pauses = run(exchange(REQUEST, Retries()), in_turn(httpx.Response(status), httpx.Response(200)))
    assert answer.status_code == 200
    assert 0 <= pauses[0] <= 0.2


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500])
def test_what_would_be_refused_again_is_not_repeated(status: int) -> None:
    answer, pauses = run(exchange(REQUEST, Retries()), in_turn(httpx.Response(status)))
    assert (answer.status_code, pauses) == (status, [])


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("gone"),
        httpx.ReadTimeout(""),
    ],
)
def test_a_broken_connection_is_followed_by_another_attempt(error: httpx.TransportError) -> None:
    answer, _ = run(exchange(REQUEST, Retries()), in_turn(error, error, httpx.Response(200)))
    assert answer.status_code == 200


def test_no_attempt_comes_before_what_retry_after_says_in_seconds_or_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    for said, least in (("7", 7.0), (date, 28.0), ("soon", 0.0)):
        waiting = httpx.Response(503, headers={"Retry-After": said})
        _, (pause,) = run(exchange(REQUEST, Retries()), in_turn(waiting, httpx.Response(200)))
        assert least <= pause <= least + 2.3


def test_pauses_grow_and_differ() -> None:
    retries = Retries(attempts=9, first=1.0, longest=8.0)
    drawn = [[retries.pause(attempt) for _ in range(200)] for attempt in range(1, 9)]
    for attempt, pauses in enumerate(drawn):
        bound = min(8.0, 2.0**attempt)
        assert 0.8 * bound < max(pauses) <= bound
        assert min(pauses) < 0.2 * bound


def test_it_gives_up_after_the_attempts_and_says_how_many_they_were() -> None:
    with pytest.raises(Unavailable, match=r"tried 3 times and answered 503 last") as caught:
        run(exchange(REQUEST, Retries(attempts=3)), lambda _: httpx.Response(503))
    assert (caught.value.attempts, caught.value.status, caught.value.request_id) == (3, 503, "one")
    with pytest.raises(Unavailable, match=r"tried once and did not answer: reset"):
        run(exchange(REQUEST, Retries(attempts=1)), lambda _: httpx.ReadError("reset"))


def test_it_gives_up_at_once_when_it_is_to_come_again_after_its_time() -> None:
    late = httpx.Response(503, headers={"Retry-After": "3600"})
    with pytest.raises(Unavailable) as caught:
        run(exchange(REQUEST, Retries(within=10)), lambda _: late)
    assert caught.value.attempts == 1


def test_all_attempts_of_a_call_have_one_id_and_each_call_has_its_own() -> None:
    calls = Calls(titanic.USE_CASE, Retries(), httpx.Client(base_url="http://endpoint").build_request)
    seen: list[str] = []

    def came(request: httpx.Request) -> httpx.Response | httpx.TransportError:
        seen.append(request.headers["x-request-id"])
        if len(seen) % 2:
            return httpx.ReadError("reset")
        return httpx.Response(
            200, json={"survived": True, "probability": 0.9, "model_version": 1}, request=request
        )

    for _ in range(2):
        run(calls.predict(PASSENGER), came)
    assert seen[0] == seen[1] != seen[2] == seen[3]
    with pytest.raises(ValueError, match="A request id is up to 64"):
        run(calls.predict(PASSENGER, "two words"), came)


def test_a_batch_whose_body_is_too_large_is_halved_and_refused_rows_keep_their_places() -> None:
    calls = Calls(titanic.USE_CASE, Retries(), httpx.Client(base_url="http://endpoint").build_request)
    problem = {"type": "about:blank", "title": "No", "detail": "No.", "errors": []}

    def came(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)["rows"]
        if len(rows) > 4:
            return httpx.Response(413, json=problem | {"status": 413}, request=request)
        # One reason at a time, as when there are more of them than a refusal names.
        for at, row in enumerate(rows):
            if row["Age"] > 100:
                error = {"field": f"rows.{at}.Age", "message": "at most 100", "value": row["Age"]}
                return httpx.Response(422, json=problem | {"status": 422, "errors": [error]}, request=request)
        answers = [{"survived": True, "probability": row["Age"] / 200} for row in rows]
        return httpx.Response(200, json={"model_version": 3, "predictions": answers}, request=request)

    ages = [10, 110, 20, 30, 120, 115, 40, 50, 60, 70]
    answers, _ = run(calls.batch([PASSENGER.model_copy(update={"Age": age}) for age in ages]), came)
    for age, answer in zip(ages, answers, strict=True):
        if age > 100:
            assert isinstance(answer, InvalidRequest)
            assert [(one.field, one.expected, one.got) for one in answer.errors] == [
                ("Age", "at most 100", age)
            ]
        else:
            assert answer.prediction.probability == age / 200
            assert answer.prediction.model_version == 3
