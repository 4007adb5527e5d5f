"""One process of an endpoint: the model, and what goes on beside it: counts, keys, the log, work in turn."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from serving import explain, page
from serving.documents import documents
from serving.http.messages import Headers, Refused, Room, overloaded
from serving.keys import Keys
from serving.log.shipper import Shipper
from serving.log.spool import Spool
from serving.metrics import LogState, Metrics
from serving.ranges import Ranges

if TYPE_CHECKING:
    from serving.columns import Array, Column
    from serving.endpoint import Endpoint
    from serving.http.messages import Call
    from serving.outcomes import Outcome

FLUSH_SECONDS = 0.1
"""The log is written to disk this often: what a killed process loses at most."""
SPOOL_BYTES = 512_000_000
"""Disk that the log may take while the database is away."""
_NOTED = 1000
"""Rows of a table that are logged at once."""
VERIFIER_LENGTH = 43
"""Characters of a release's own key; those that `keys` makes are longer."""
MAX_WAITING = 4
"""Batches that wait for their turn; more are refused."""
LAST_SECONDS = 5.0
"""Time to ship the rest of the log at the end."""
_TICKS = 10
"""Of flushing, between two looks at the file of keys."""

T = TypeVar("T")
logger = logging.getLogger("modelyard.endpoint")


@dataclass(frozen=True)
class Surroundings:
    """What lies around an endpoint on its machine, told by environment variables."""

    state: Path | None
    """Folder of this endpoint's workers, for counts and the log; None: counts are kept in memory."""
    keys: Path | None
    """File of API keys; None: everybody may ask."""
    database: Path | None
    """File with the URL of the database that takes the prediction log; None: nothing is logged."""
    verifier: bytes | None = None
    """SHA-256 of a key that only the release knows which verifies this endpoint's answers."""


def surroundings() -> Surroundings:
    """As the environment has them now: MODELYARD_ENDPOINT_STATE, _KEYS, _DATABASE and _VERIFIER.

    A database's file that is not there means no log, until the next start: a log that is kept for a database
    which may never come would fill the disk.
    """

    def path(name: str) -> Path | None:
        value = os.environ.get(f"MODELYARD_ENDPOINT_{name}")
        return Path(value) if value else None

    verifier = bytes.fromhex(os.environ.get("MODELYARD_ENDPOINT_VERIFIER", "")) or None
    database = path("DATABASE")
    if database is not None and not database.exists():
        logger.warning("Nothing is logged: there is no %s; start the endpoint anew once there is", database)
        database = None
    return Surroundings(path("STATE"), path("KEYS"), database, verifier)


class Worker:
    """What answers the requests of one process; all but `in_turn`'s work happens on the event loop."""

    def __init__(self, endpoint: Endpoint, around: Surroundings) -> None:
        self.endpoint = endpoint
        self.version = str(endpoint.version).encode()
        self.room = Room()
        self.keys = Keys(around.keys)
        self.log: Spool | None = None
        self._shipper: Shipper | None = None
        if around.state is not None and around.database is not None:
            self.log = Spool(around.state / "log", SPOOL_BYTES, endpoint.contract.name)
            self._shipper = Shipper(self.log, around.database)
        self.metrics = Metrics(
            around.state,
            _info(endpoint),
            Ranges(endpoint.contract.request, endpoint.profile),
            self._log_state if self.log else None,
        )
        self._verifier = around.verifier
        self._turns = ThreadPoolExecutor(1, "batch")
        self._waiting = 0

    def start(self) -> None:
        """Begin what goes on by itself; call it on the event loop."""
        if self._shipper is not None:
            self._shipper.start()
        self._tick(asyncio.get_running_loop())

    def close(self) -> None:
        """Write and ship what is left, within seconds."""
        self._turns.shutdown(cancel_futures=True)
        if self._shipper is not None:
            self._shipper.close(LAST_SECONDS)

    def admit(self, call: Call, right: str) -> None:
        """Let whoever has the call's key do what `right` is for.

        Raises:
            Refused: 401 without a key that is known, 403 when it lacks the right.
        """
        if self._is_verifier(call.key):
            call.verifies = True
            return
        verdict = self.keys.allows(call.key, right)
        if verdict.status == 401:
            asked = [(b"www-authenticate", b"Bearer")]
            detail = "An API key is needed, as Authorization: Bearer KEY or X-API-Key: KEY."
            raise Refused(401, detail, "unauthorized", headers=asked)
        if verdict.status == 403:
            raise Refused(403, f"The key {verdict.name} does not have the right {right}.", "forbidden")

    def _is_verifier(self, key: bytes | None) -> bool:
        return (
            key is not None
            and self._verifier is not None
            and len(key) == VERIFIER_LENGTH
            and compare_digest(sha256(key).digest(), self._verifier)
        )

    def refused(self, refusal: Refused, call: Call, route: str) -> None:
        """Count and log a refusal, without what the request said: that may be anything."""
        self.metrics.refused(refusal.reason)
        about = {"request_id": call.id, "trace_id": call.trace, "route": route, "status": refusal.status}
        logger.info("Refused: %s", refusal.reason, extra=about)

    def predicted(self, call: Call, request: BaseModel, output: bytes) -> None:
        """Count and log one prediction, unless a release only verifies what it would be."""
        if call.verifies:
            return
        self.metrics.predicted(request)
        if self.log is not None:
            self._note(call, 0, call.body, output)

    def predicted_batch(self, call: Call, requests: Sequence[BaseModel], outputs: Sequence[bytes]) -> None:
        """Count and log the predictions of a batch, row by row under the batch's id."""
        if call.verifies:
            return
        for row, (request, output) in enumerate(zip(requests, outputs, strict=True)):
            self.metrics.predicted(request)
            if self.log is not None:
                self._note(call, row, request.__pydantic_serializer__.to_json(request), output)

    async def predicted_columns(
        self, call: Call, rules: Sequence[Column], columns: Mapping[str, Array], values: Array
    ) -> None:
        """Count and log many predictions, some at a time, so that others are answered meanwhile."""
        if call.verifies:
            return
        self.metrics.predicted_columns(columns, len(values))
        if self.log is None:
            return
        for start in range(0, len(values), _NOTED):
            part = {name: column[start : start + _NOTED] for name, column in columns.items()}
            inputs, outputs = await asyncio.get_running_loop().run_in_executor(
                self._turns, self._as_json, rules, part, values[start : start + _NOTED].tolist()
            )
            for row, (given, output) in enumerate(zip(inputs, outputs, strict=True), start):
                self._note(call, row, given, output)

    def _as_json(
        self, rules: Sequence[Column], columns: Mapping[str, Array], values: list[float]
    ) -> tuple[list[bytes], list[bytes]]:
        responses = [self.endpoint.contract.respond(value) for value in values]
        return documents(rules, columns), [
            response.__pydantic_serializer__.to_json(response) for response in responses
        ]

    def outcomes(self, found: Sequence[Outcome]) -> int:
        """Take what really came of predictions; returns how many were taken.

        Raises:
            Refused: nothing is logged here.
        """
        if self.log is None:
            detail = "This endpoint keeps no prediction log, so it takes no outcomes."
            raise Refused(503, detail, "unavailable")
        now = time.time()
        for outcome in found:
            self.log.outcome(outcome.request_id, outcome.row, outcome.value, now)
        # Written before it is promised.
        self.log.flush()
        return len(found)

    async def in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        """`work` in a thread, one after the other; the event loop goes on answering.

        Raises:
            Refused: too many wait for their turn already.
        """
        if self._waiting >= MAX_WAITING:
            raise overloaded(f"{MAX_WAITING} batches wait already.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._turns, work, *arguments)
        finally:
            self._waiting -= 1

    @cached_property
    def page(self) -> tuple[bytes, Headers]:
        """The page to try the endpoint on."""
        document, headers = page.page(self.endpoint.contract, self.endpoint.version)
        names = [name for name in headers if name.lower() != "content-type"]
        return document, [(name.lower().encode(), headers[name].encode()) for name in names]

    @cached_property
    def typical(self) -> explain.Typical:
        """What a prediction is explained against."""
        return explain.typical(self.endpoint.contract, self.endpoint.profile)

    def _note(self, call: Call, row: int, inputs: bytes, output: bytes) -> None:
        assert self.log is not None
        seconds = time.perf_counter() - call.began
        self.log.predicted(
            call.id, row, time.time(), self.endpoint.version, call.trace or None, inputs, output, seconds
        )

    def _log_state(self) -> LogState:
        log, shipper = self.log, self._shipper
        assert log is not None
        assert shipper is not None
        dropped = {**log.dropped, "refused": shipper.refused}
        return LogState(log.written, dropped, log.bytes, shipper.behind, shipper.connected)

    def _tick(self, loop: asyncio.AbstractEventLoop, number: int = 0) -> None:
        loop.call_later(FLUSH_SECONDS, self._tick, loop, number + 1)
        if self.log is not None:
            self.log.flush()
        if number % _TICKS == 0:
            self.metrics.publish()
            self.keys.refresh()


def _info(endpoint: Endpoint) -> dict[str, str]:
    """Labels that tell one model from another."""
    kept = {
        name: str(endpoint.provenance[name])
        for name in ("candidate", "git_commit")
        if name in endpoint.provenance
    }
    return {"model": endpoint.contract.name, "version": str(endpoint.version), **kept}
