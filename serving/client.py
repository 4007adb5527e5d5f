"""Calls to a running endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errors import DataError, ReleaseError
from serving.contract import MAX_ROWS

if TYPE_CHECKING:
    import httpx

SECONDS = 30.0
"""Time for one answer."""
_SHOWN = 10
"""Fields of a refusal that its message names."""


@dataclass(frozen=True)
class Refused:
    """A request of a batch that the endpoint refused."""

    reason: str


class Client:
    """An endpoint at one address."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def is_ready(self) -> bool:
        """Whether the model is loaded and answers."""
        import httpx

        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def metrics(self) -> str | None:
        """What it counts, in Prometheus' text format; None when it does not answer."""
        import httpx

        try:
            response = self._http.get("/metrics")
        except httpx.TransportError:
            return None
        return response.text if response.is_success else None

    def model(self) -> dict[str, Any]:
        """What the served model is made of."""
        return self._call("GET", "/model")

    def predict(self, request: Any) -> dict[str, Any]:
        """The answer to one request, with `model_version`.

        Raises:
            DataError: the endpoint refuses the request; the message names each field.
            ReleaseError: the endpoint does not answer, or fails.
        """
        return self._call("POST", "/predict", request)

    def predict_many(self, requests: Sequence[Any]) -> list[dict[str, Any] | Refused]:
        """The answers to many requests in their order, each with `model_version`; asked `MAX_ROWS` at a time.

        In the place of a request that the endpoint refuses stands why; the others are answered all the same.

        Raises:
            ReleaseError: the endpoint does not answer, or fails.
        """
        answers: list[dict[str, Any] | Refused] = []
        for start in range(0, len(requests), MAX_ROWS):
            answers += self._batch(requests[start : start + MAX_ROWS])
        return answers

    def _batch(self, requests: Sequence[Any]) -> list[dict[str, Any] | Refused]:
        response = self._send("POST", "/predict_batch", {"rows": requests})
        refused: dict[int, Refused] = {}
        if response.status_code == 422:
            refused = _refused_rows(response.json())
            valid = [request for index, request in enumerate(requests) if index not in refused]
            if not refused:
                raise DataError(_refusal(response))
            if not valid:
                return list(refused.values())
            response = self._send("POST", "/predict_batch", {"rows": valid})
        answer = _content(response)
        version = {"model_version": answer["model_version"]}
        predictions = iter(answer["predictions"])
        return [
            refused[index] if index in refused else {**next(predictions), **version}
            for index in range(len(requests))
        ]

    def _call(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        return _content(self._send(method, path, content))

    def _send(self, method: str, path: str, content: Any) -> httpx.Response:
        import httpx

        try:
            # json=None sends no body.
            response = self._http.request(method, path, json=content)
        except ValueError as error:
            raise DataError(f"This cannot be sent as JSON: {error}") from None
        except httpx.TransportError as error:
            raise ReleaseError(f"The endpoint at {self._http.base_url} does not answer: {error}") from None
        if response.is_server_error:
            raise ReleaseError(
                f"The endpoint at {self._http.base_url} failed with {response.status_code}: "
                f"{response.text[:500]}"
            )
        return response


@contextmanager
def connect(address: str, key: str | None = None) -> Iterator[Client]:
    """A client of the endpoint at `address`, such as `http://127.0.0.1:3000`; it keeps its connections."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # Settings of proxies are for the way out, not for endpoints.
    with httpx.Client(base_url=address, headers=headers, timeout=SECONDS, trust_env=False) as http:
        yield Client(http)


def _content(response: httpx.Response) -> dict[str, Any]:
    if response.is_client_error:
        raise DataError(_refusal(response))
    answer: dict[str, Any] = response.json()
    return answer


def _refusal(response: httpx.Response) -> str:
    body = response.json()
    lines = [f"  {words(problem)}" for problem in body["errors"][:_SHOWN]]
    if len(body["errors"]) > len(lines):
        lines.append(f"  and {len(body['errors']) - len(lines)} more")
    if response.status_code == 401:
        lines.append("  Put a key into MODELYARD_API_KEY; `python run.py keys` makes them.")
    return "\n".join([f"The endpoint refused the request ({response.status_code}): {body['detail']}", *lines])


def _refused_rows(body: dict[str, Any]) -> dict[int, Refused]:
    """Index within the batch → why, from problems with fields such as `rows.3.trip_distance`."""
    found: dict[int, list[str]] = {}
    for problem in body["errors"]:
        parts = problem["field"].split(".")
        if len(parts) > 1 and parts[0] == "rows":
            found.setdefault(int(parts[1]), []).append(words({**problem, "field": ".".join(parts[2:])}))
    return {index: Refused("; ".join(reasons)) for index, reasons in found.items()}


def words(problem: dict[str, Any]) -> str:
    """One reason of a refusal in a few words: the field, what was expected, what came."""
    came = f", came {problem['value']!r}" if "value" in problem else ""
    return f"{problem['field']}: {problem['message']}{came}"
