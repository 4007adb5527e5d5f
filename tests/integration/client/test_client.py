"""The client and an endpoint, also while that is away."""

from __future__ import annotations

import asyncio
import http.server
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest

import usecases
from modelyard_client import AsyncClient, Client, EndpointFailed, InvalidRequest
from modelyard_client.models import taxi as models
from modelyard_client.models import titanic
from tests.integration.client.conftest import Taxi
from tests.integration.serving.live import Live

TRIP = models.TripRequest(
    PULocationID=74,
    DOLocationID=236,
    lpep_pickup_datetime=datetime(2024, 2, 14, 8, 30),
    trip_distance=3.1,
)


def trip(**changes: Any) -> models.TripRequest:
    return TRIP.model_copy(update=changes)


def client(address: str, **settings: Any) -> Client[Any, models.Prediction, Any]:
    return Client(address, models.USE_CASE, **settings)


def test_it_gets_what_others_get(live: Live) -> None:
    with client(live.address) as here, live.client() as http:
        assert here.is_ready()
        answer = here.predict(TRIP)
        assert (
            answer.prediction.model_dump()
            == http.post("/predict", json=dict(usecases.contract_of("taxi").example)).json()
        )
        assert here.model()["model_version"] == answer.prediction.model_version == 1
        why = here.explain(TRIP)
        assert why.prediction.duration_minutes == answer.prediction.duration_minutes
        assert {effect.field for effect in why.effects} >= {"trip_distance", "PULocationID"}


def test_many_are_answered_in_their_order_and_refused_ones_in_their_place(live: Live) -> None:
    trips = [trip(trip_distance=miles / 100) for miles in range(2_500)]
    # 150 are more than one refusal names.
    bad = set(range(0, 300, 2))
    asked = [
        trip(lpep_pickup_datetime=datetime(1999, 1, 1)) if at in bad else one for at, one in enumerate(trips)
    ]
    with client(live.address) as here:
        answers = list(here.predict_many(iter(asked)))
        assert len(answers) == 2_500
        for at, answer in enumerate(answers):
            assert isinstance(answer, InvalidRequest) == (at in bad)
        one = here.predict(trips[2_345]).prediction.duration_minutes
        assert answers[2_345].prediction.duration_minutes == pytest.approx(one, rel=1e-12)


def test_a_refusal_names_field_expected_and_got(live: Live) -> None:
    with client(live.address) as here, pytest.raises(InvalidRequest) as caught:
        here.predict(models.TripRequest.model_construct(**{**TRIP.model_dump(), "PULocationID": 740}))
    (problem,) = caught.value.errors
    assert (problem.field, problem.got) == ("PULocationID", 740)
    assert problem.expected == "Input should be less than or equal to 265"
    assert str(caught.value) == "PULocationID: Input should be less than or equal to 265, got 740"
    assert caught.value.status == 422
    assert caught.value.request_id


def test_outcomes_are_joined_with_the_predictions_that_they_are_of(live: Live, taxi: Taxi) -> None:
    with client(live.address) as here:
        single = here.predict(TRIP, request_id="order-1")
        batch = list(here.predict_many([trip(trip_distance=1.0), trip(trip_distance=9.0)]))
        assert single.request_id == "order-1"
        assert here.report([single.outcome(10.0), batch[1].outcome(30.0)]) == 2
    found = taxi.logged(
        'SELECT request_id, "row", prediction, outcome FROM prediction_outcomes '
        "WHERE outcome IS NOT NULL ORDER BY outcome",
        rows=2,
    )
    assert found == [
        ("order-1", 0, single.prediction.duration_minutes, 10.0),
        (batch[1].request_id, 1, batch[1].prediction.duration_minutes, 30.0),
    ]


def test_side_by_side_by_asyncio(live: Live) -> None:
    async def ask() -> list[Any]:
        async with AsyncClient(live.address, models.USE_CASE) as here:
            assert await here.is_ready()
            assert (await here.model())["model_version"] == 1
            assert (await here.explain(TRIP)).effects
            singles = await asyncio.gather(*(here.predict(trip(trip_distance=m / 10)) for m in range(50)))
            many = [
                answer async for answer in here.predict_many(trip(trip_distance=m / 10) for m in range(50))
            ]
            assert await here.report(answer.outcome(5.0) for answer in singles) == 50
            return [*zip(singles, many, strict=True)]

    for one, other in asyncio.run(ask()):
        assert one.prediction.duration_minutes == pytest.approx(other.prediction.duration_minutes, rel=1e-12)


def test_what_answers_otherwise_is_told_from_an_endpoint(live: Live) -> None:
    with Client(live.address, titanic.USE_CASE) as other, pytest.raises(InvalidRequest, match="Pclass"):
        other.predict(titanic.PassengerRequest(Pclass=1, Sex="male"))

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Please log in</html>")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with (
        _server(Page) as address,
        client(address) as here,
        pytest.raises(EndpointFailed, match="is not what"),
    ):
        here.predict(TRIP)
    for wrong in ("127.0.0.1:3000", "ftp://there", "http://"):
        with pytest.raises(ValueError, match="An endpoint's address is"):
            client(wrong)


def test_a_lost_answer_and_one_to_come_again_are_no_trouble(live: Live, taxi: Taxi) -> None:
    """The first answer is lost on its way, the second is 503 with Retry-After: 1, the third comes through."""
    seen: list[tuple[str, float]] = []

    class Shaky(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.headers["x-request-id"], time.monotonic()))
            if len(seen) == 2:
                self.send_response(503)
                self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            answer = httpx.post(
                f"{live.address}{self.path}", content=body, headers=dict(self.headers), trust_env=False
            )
            if len(seen) == 1:
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with _server(Shaky) as address, client(address) as here:
        answer = here.predict(TRIP)
    assert {request_id for request_id, _ in seen} == {answer.request_id}
    assert len(seen) == 3
    assert seen[2][1] - seen[1][1] >= 1.0
    question = f"SELECT output FROM predictions WHERE request_id = '{answer.request_id}'"
    assert len({str(output) for (output,) in taxi.logged(question, rows=2)}) == 1


@contextmanager
def _server(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
