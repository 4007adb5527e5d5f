"""The least that can answer: msgspec, the compiled model, msgspec; no log, metrics, limits or keys.

Types are checked as msgspec does it; ranges are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from benchmarks.serving_peers import compiled_model

HEADERS = [(b"content-type", b"application/json")]


@dataclass
class Trip:
    """The fields of `usecases.taxi.contract.TripRequest`; no struct, for the model reads `__dict__`."""

    PULocationID: int
    DOLocationID: int
    lpep_pickup_datetime: datetime
    trip_distance: float
    passenger_count: int | None = None
    trip_type: int | None = None
    VendorID: int | None = None


class Answer(msgspec.Struct):
    """The field of `usecases.taxi.contract.TripResponse`."""

    duration_minutes: float


model = compiled_model.load()
decode = msgspec.json.Decoder(Trip).decode
encode = msgspec.json.Encoder().encode


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Answers whatever is asked; uvicorn runs it with the lifespan off."""
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    answer = encode(Answer(model(decode(body))))
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, _length(answer)]})
    await send({"type": "http.response.body", "body": answer})


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)
