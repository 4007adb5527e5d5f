"""The two clients: one that waits, and one for asyncio."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any, Generic, Self, TypeVar

import httpx

from modelyard_client.calls import MAX_OUTCOMES, MAX_ROWS, Answer, Calls
from modelyard_client.errors import InvalidRequest
from modelyard_client.models.endpoint import Outcome
from modelyard_client.retries import BROKEN, Flow, Retries
from modelyard_client.use_case import Explanation, Prediction, Request, UseCase

Result = TypeVar("Result")
Item = TypeVar("Item")

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""Seconds for one attempt."""


class Client(Generic[Request, Prediction, Explanation]):
    """An endpoint at one address; it keeps its connections, and may be used by several threads.

        with Client("http://127.0.0.1:3000", taxi.USE_CASE, key=key) as client:
            answer = client.predict(taxi.TripRequest(…))

    Every call raises one of `errors`.
    """

    def __init__(
        self,
        address: str,
        use_case: UseCase[Request, Prediction, Explanation],
        *,
        key: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retries: Retries | None = None,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        self._http = httpx.Client(
            base_url=_checked(address), headers=_headers(key), timeout=timeout, verify=verify
        )
        self._calls = Calls(use_case, retries or Retries(), self._http.build_request)

    def predict(self, request: Request, *, request_id: str | None = None) -> Answer[Prediction]:
        """The answer to one request, under an id of your own if you give one.

        Raises:
            ValueError: the id is not up to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`.
        """
        return self._run(self._calls.predict(request, request_id))

    def predict_many(self, requests: Iterable[Request]) -> Iterator[Answer[Prediction] | InvalidRequest]:
        """The answers in the requests' order, asked in batches as they are taken from it.

        In the place of a request that the endpoint refuses stands why; the others are answered all the same.
        """
        for some in _batches(requests, MAX_ROWS):
            yield from self._run(self._calls.batch(some))

    def explain(self, request: Request) -> Explanation:
        """A prediction, and what each field does to it."""
        return self._run(self._calls.explain(request))

    def report(self, outcomes: Iterable[Outcome]) -> int:
        """Tell what really came of predictions, `answer.outcome(value)`; how many were taken."""
        return sum(self._run(self._calls.report(some)) for some in _batches(outcomes, MAX_OUTCOMES))

    def model(self) -> dict[str, Any]:
        """What the served model is made of: version, lineage, metric, environment."""
        return self._run(self._calls.model())

    def is_ready(self) -> bool:
        """Whether the endpoint answers; asked once."""
        try:
            return self._http.get("/readyz").status_code == 200
        except BROKEN:
            return False

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, flow: Flow[Result]) -> Result:
        came: httpx.Response | httpx.TransportError | None = None
        while True:
            try:
                step = flow.send(came)
            except StopIteration as end:
                result: Result = end.value
                return result
            came = None
            if isinstance(step, float):
                time.sleep(step)
                continue
            try:
                came = self._http.send(step)
            except BROKEN as error:
                came = error


class AsyncClient(Generic[Request, Prediction, Explanation]):
    """The same for asyncio; calls may be made side by side."""

    def __init__(
        self,
        address: str,
        use_case: UseCase[Request, Prediction, Explanation],
        *,
        key: str | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        retries: Retries | None = None,
        verify: bool | ssl.SSLContext = True,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=_checked(address), headers=_headers(key), timeout=timeout, verify=verify
        )
        self._calls = Calls(use_case, retries or Retries(), self._http.build_request)

    async def predict(self, request: Request, *, request_id: str | None = None) -> Answer[Prediction]:
        """As `Client.predict`."""
        return await self._run(self._calls.predict(request, request_id))

    async def predict_many(
        self, requests: Iterable[Request]
    ) -> AsyncIterator[Answer[Prediction] | InvalidRequest]:
        """As `Client.predict_many`."""
        for some in _batches(requests, MAX_ROWS):
            for answer in await self._run(self._calls.batch(some)):
                yield answer

    async def explain(self, request: Request) -> Explanation:
        """As `Client.explain`."""
        return await self._run(self._calls.explain(request))

    async def report(self, outcomes: Iterable[Outcome]) -> int:
        """As `Client.report`."""
        return sum([await self._run(self._calls.report(some)) for some in _batches(outcomes, MAX_OUTCOMES)])

    async def model(self) -> dict[str, Any]:
        """As `Client.model`."""
        return await self._run(self._calls.model())

    async def is_ready(self) -> bool:
        """As `Client.is_ready`."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except BROKEN:
            return False

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, flow: Flow[Result]) -> Result:
        came: httpx.Response | httpx.TransportError | None = None
        while True:
            try:
                step = flow.send(came)
            except StopIteration as end:
                result: Result = end.value
                return result
            came = None
            if isinstance(step, float):
                await asyncio.sleep(step)
                continue
            try:
                came = await self._http.send(step)
            except BROKEN as error:
                came = error


def _checked(address: str) -> httpx.URL:
    url = httpx.URL(address)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"An endpoint's address is http://HOST:PORT or https://HOST; it is {address!r}.")
    return url


def _headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
