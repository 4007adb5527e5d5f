"""Many rows at once: tables of Arrow, and tensors of the Open Inference Protocol."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from errors import DataError
from serving import arrow, arrow_answer, columns, inference_protocol
from serving.contract import FieldError
from serving.http.messages import JSON, Headers, InferenceRefused, Refused

if TYPE_CHECKING:
    from serving.columns import Array
    from serving.http.messages import Call
    from serving.worker import Worker

ARROW = arrow.CONTENT_TYPE.encode()

_PATH = re.compile(
    r"/v2(?:/(?P<health>health/live|health/ready)"
    r"|/models/(?P<model>[^/]{1,200})(?:/versions/(?P<version>[^/]{1,100}))?(?:/(?P<what>ready|infer))?)?/?"
)


async def predict_table(worker: Worker, call: Call) -> tuple[bytes, bytes, Headers]:
    """The answer to a table: one of the response's fields, as many rows.

    Raises:
        Refused: it is no Arrow, or its rows are no requests.
    """
    rules, rows, values, answered = await worker.in_turn(_predict_table, worker, call.body)
    await worker.predicted_columns(call, rules, rows, values)
    return ARROW, answered, ()


def _predict_table(worker: Worker, body: bytes) -> tuple[Any, dict[str, Array], Array, bytes]:
    endpoint = worker.endpoint
    try:
        rows = columns.check(endpoint.rules, arrow.read(body))
    except columns.InvalidColumns as error:
        raise _invalid(error.errors) from None
    except DataError as error:
        raise Refused(400, str(error), "invalid") from None
    values = endpoint.predict_columns(rows)
    responses = [endpoint.contract.respond(value) for value in values.tolist()]
    rules = columns.rules(type(responses[0]))
    return endpoint.rules, rows, values, arrow_answer.write(columns.from_requests(rules, responses))


def _invalid(errors: list[FieldError]) -> Refused:
    named = ", ".join(dict.fromkeys(error.field for error in errors[:10]))
    return Refused(422, f"The rows are not valid; look at {named}.", "invalid", errors=errors)


def find(path: str) -> tuple[str, Any] | None:
    """What a path of the protocol asks for, if it is one: its name for metrics, and what answers it."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    model, version, what = found["model"], found["version"], found["what"]
    if what == "infer":
        return "infer", partial(_infer, model=model, version=version)
    return "other", partial(_about, health=found["health"], model=model, version=version, what=what)


def _about(
    worker: Worker,
    call: Call,
    *,
    health: str | None,
    model: str | None,
    version: str | None,
    what: str | None,
) -> tuple[bytes, bytes, Headers]:
    endpoint = worker.endpoint
    if health is not None:
        state = health.removeprefix("health/")
        return JSON, inference_protocol.to_json({state: True}), ()
    if model is None:
        return JSON, inference_protocol.to_json(inference_protocol.server_metadata(str(endpoint.version))), ()
    _find(worker, model, version)
    about = (
        inference_protocol.model_ready(endpoint, True)
        if what
        else inference_protocol.model_metadata(endpoint)
    )
    return JSON, inference_protocol.to_json(about), ()


async def _infer(
    worker: Worker, call: Call, *, model: str, version: str | None
) -> tuple[bytes, bytes, Headers]:
    _find(worker, model, version)
    seen = _Seen(worker.endpoint)
    headers = {} if call.header_length is None else {"inference-header-content-length": call.header_length}
    try:
        body, more = await worker.in_turn(
            inference_protocol.infer, seen, worker.endpoint.rules, call.body, headers
        )
    except inference_protocol.Refused as error:
        raise InferenceRefused(error.status, str(error), "invalid") from None
    assert seen.columns is not None
    await worker.predicted_columns(call, worker.endpoint.rules, seen.columns, seen.values)
    content_type = more.pop("content-type").encode()
    return content_type, body, [(name.encode(), value.encode()) for name, value in more.items()]


def _find(worker: Worker, model: str, version: str | None) -> None:
    try:
        inference_protocol.find(worker.endpoint, model, version)
    except inference_protocol.Refused as error:
        raise InferenceRefused(error.status, str(error), "invalid") from None


@dataclass
class _Seen:
    """An endpoint that remembers what it predicted, for the log."""

    endpoint: Any
    columns: dict[str, Array] | None = None
    values: Any = None

    @property
    def contract(self) -> Any:
        return self.endpoint.contract

    @property
    def version(self) -> int:
        version: int = self.endpoint.version
        return version

    def predict_columns(self, rows: Any) -> Any:
        self.columns, self.values = rows, self.endpoint.predict_columns(rows)
        return self.values
