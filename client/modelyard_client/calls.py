"""Every call to an endpoint, without the way that it is sent: both clients run these."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from modelyard_client.errors import EndpointError, EndpointFailed, FieldProblem, InvalidRequest, NotAllowed
from modelyard_client.models.endpoint import Accepted, FieldError, Outcome, Outcomes, Problem
from modelyard_client.retries import Flow, Retries, exchange
from modelyard_client.use_case import Explanation, Prediction, Request, UseCase

MAX_ROWS = 1_000
"""Requests in one batch."""
MAX_OUTCOMES = 10_000
"""Outcomes in one report."""

Parsed = TypeVar("Parsed", bound=BaseModel)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Answer(Generic[Prediction]):
    """A prediction, and what to name it by when it is known what really came."""

    prediction: Prediction
    request_id: str
    row: int = 0
    """Row within the batch that it was asked in."""

    def outcome(self, value: float) -> Outcome:
        """That `value` really came, to be reported; of a class 0 or 1."""
        return Outcome(request_id=self.request_id, row=self.row, value=value)


@dataclass(frozen=True)
class Calls(Generic[Request, Prediction, Explanation]):
    """The calls to one endpoint."""

    use_case: UseCase[Request, Prediction, Explanation]
    retries: Retries
    build: Callable[..., httpx.Request]
    """`build_request` of httpx' clients."""

    def predict(self, request: Request, request_id: str | None = None) -> Flow[Answer[Prediction]]:
        sent = _named(request_id)
        response = yield from self._post("/predict", _json(request), sent)
        return Answer(_parsed(response, self.use_case.prediction), _id(response, sent))

    def explain(self, request: Request) -> Flow[Explanation]:
        response = yield from self._post("/explain", _json(request), _named(None))
        return _parsed(response, self.use_case.explanation)

    def batch(self, requests: Sequence[Request]) -> Flow[list[Answer[Prediction] | InvalidRequest]]:
        """In the requests' order; in the place of one that is refused stands why."""
        found: dict[int, Answer[Prediction] | InvalidRequest] = {}
        # A refusal names so many rows at most, so what is left may be refused for others.
        while left := [index for index in range(len(requests)) if index not in found]:
            body = '{"rows":[' + ",".join(_json(requests[index]) for index in left) + "]}"
            sent = _named(None)
            try:
                response = yield from self._post("/predict_batch", body, sent)
            except InvalidRequest as refusal:
                if refusal.status == 413 and len(left) > 1:
                    half = len(left) // 2
                    for part in (left[:half], left[half:]):
                        answers = yield from self.batch([requests[index] for index in part])
                        found |= dict(zip(part, answers, strict=True))
                    continue
                refused = _by_row(refusal)
                if not refused:
                    raise
                found |= {left[row]: reason for row, reason in refused.items()}
                continue
            found |= zip(left, self._answers(response, _id(response, sent)), strict=True)
        return [found[index] for index in range(len(requests))]

    def _answers(self, response: httpx.Response, request_id: str) -> list[Answer[Prediction]]:
        content = _content(response)
        try:
            version, rows = content["model_version"], content["predictions"]
            return [
                Answer(
                    self.use_case.prediction.model_validate({**row, "model_version": version}), request_id, at
                )
                for at, row in enumerate(rows)
            ]
        except (KeyError, TypeError, ValidationError) as error:
            raise _other(response, str(error)) from None

    def report(self, outcomes: Sequence[Outcome]) -> Flow[int]:
        """How many were taken."""
        body = Outcomes(outcomes=list(outcomes)).model_dump_json()
        response = yield from self._post("/outcomes", body, _named(None))
        return _parsed(response, Accepted).accepted

    def model(self) -> Flow[dict[str, Any]]:
        response = yield from exchange(self.build("GET", "/model"), self.retries)
        return _content(response)

    def _post(self, path: str, body: str, request_id: str) -> Flow[httpx.Response]:
        headers = {"Content-Type": "application/json", "X-Request-ID": request_id}
        response = yield from exchange(self.build("POST", path, content=body, headers=headers), self.retries)
        if response.status_code != 200:
            raise _refusal(response)
        return response


def _named(request_id: str | None) -> str:
    """An id for a call, so that it has the same whenever it is repeated."""
    if request_id is None:
        return uuid.uuid4().hex
    if not _REQUEST_ID.fullmatch(request_id):
        raise ValueError(
            f"A request id is up to 64 of A-Z, a-z, 0-9, '.', '_' and '-'; it is {request_id[:80]!r}."
        )
    return request_id


def _json(request: BaseModel) -> str:
    return request.model_dump_json(exclude_unset=True, by_alias=True)


def _id(response: httpx.Response, sent: str) -> str:
    return str(response.headers.get("x-request-id", sent))


def _parsed(response: httpx.Response, model: type[Parsed]) -> Parsed:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise _other(response, str(error)) from None


def _content(response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200:
        raise _refusal(response)
    try:
        content = response.json()
    except ValueError as error:
        raise _other(response, str(error)) from None
    if not isinstance(content, dict):
        raise _other(response, "it is no JSON object")
    return content


def _other(response: httpx.Response, why: str) -> EndpointFailed:
    return EndpointFailed(
        f"What {response.url} answered is not what this client was generated for; is it another use case's "
        f"endpoint, or a newer one? {why}",
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
    )


def _refusal(response: httpx.Response) -> EndpointError:
    status, request_id = response.status_code, response.headers.get("x-request-id")
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        detail = f"{response.url} answered {status}, and not as an endpoint does: {response.text[:200]}"
        return EndpointFailed(detail, status=status, request_id=request_id)
    if status in (401, 403):
        return NotAllowed(problem.detail, status=status, request_id=request_id)
    if 400 <= status < 500:
        errors = [_field(error) for error in problem.errors]
        return InvalidRequest(problem.detail, errors=errors, status=status, request_id=request_id)
    return EndpointFailed(problem.detail, status=status, request_id=request_id)


def _field(error: FieldError) -> FieldProblem:
    return FieldProblem(error.field, error.message, error.value)


def _by_row(refusal: InvalidRequest) -> dict[int, InvalidRequest]:
    """Row of a batch → why it was refused, from fields such as `rows.3.trip_distance`."""
    found: dict[int, list[FieldProblem]] = {}
    for error in refusal.errors:
        match error.field.split(".", 2):
            case ["rows", row, *rest] if row.isdecimal():
                found.setdefault(int(row), []).append(FieldProblem(".".join(rest), error.expected, error.got))
    return {
        row: InvalidRequest(
            refusal.detail, errors=errors, status=refusal.status, request_id=refusal.request_id
        )
        for row, errors in found.items()
    }
