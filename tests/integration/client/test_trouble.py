"""An endpoint that is killed and comes back, and one that asks for keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from modelyard_client import Client, NotAllowed, Retries, Unavailable
from modelyard_client.models import taxi as models
from serving import keys
from tests.integration.client.conftest import Taxi

TRIP = models.TripRequest(
    PULocationID=74,
    DOLocationID=236,
    lpep_pickup_datetime=datetime(2024, 2, 14, 8, 30),
    trip_distance=3.1,
)


def client(address: str, **settings: Any) -> Client[Any, models.Prediction, Any]:
    return Client(address, models.USE_CASE, **settings)


def test_a_killed_endpoint_that_comes_back_costs_no_call(taxi: Taxi, free_port: int) -> None:
    answers: list[Any] = []
    enough = threading.Event()

    def ask(address: str) -> None:
        with client(address, retries=Retries(attempts=60, within=60)) as here:
            while not enough.is_set():
                answers.append(here.predict(TRIP))

    with taxi.start(free_port) as live:
        thread = threading.Thread(target=ask, args=(live.address,))
        thread.start()
        _wait_until(lambda: len(answers) > 20)
        for worker in live.workers():
            worker.kill()
    before = len(answers)
    with client(live.address, retries=Retries(attempts=2, first=0.01)) as here:
        assert not here.is_ready()
        with pytest.raises(Unavailable, match="was tried 2 times and did not answer"):
            here.predict(TRIP)
    assert thread.is_alive()
    with taxi.start(free_port):
        _wait_until(lambda: len(answers) > before + 20)
        enough.set()
        thread.join(30)
    assert not thread.is_alive()
    assert len({answer.request_id for answer in answers}) == len(answers)


def test_a_key_is_asked_for_and_given(taxi: Taxi, free_port: int) -> None:
    text, key = keys.added("", "web", {"predict"})
    taxi.keys.write_text(text)
    try:
        with taxi.start(free_port) as live:
            with client(live.address) as stranger, pytest.raises(NotAllowed) as caught:
                stranger.predict(TRIP)
            assert caught.value.status == 401
            with client(live.address, key=key) as known:
                answer = known.predict(TRIP)
                with pytest.raises(NotAllowed) as caught:
                    known.report([answer.outcome(1.0)])
            assert caught.value.status == 403
    finally:
        taxi.keys.unlink()


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
