"""What goes wrong between an application and an endpoint, each with what to do about it.

EndpointError
├── InvalidRequest    the request is not what the endpoint takes; `errors` names the fields
├── NotAllowed        a key is missing, wrong, or does not allow this
├── Unavailable       nothing answered, or "come again" did, until the attempts were used up
└── EndpointFailed    it failed, or what answered is no endpoint
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class EndpointError(Exception):
    """A call that was not answered as asked."""

    def __init__(self, detail: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        """HTTP's; None when nothing answered."""
        self.request_id = request_id
        """What the endpoint's log has the call under."""


@dataclass(frozen=True)
class FieldProblem:
    """One field that was refused."""

    field: str
    """Its path, such as `trip_distance`."""
    expected: str
    """What is taken there, in words."""
    got: Any
    """What came; None when that was no plain value."""

    def __str__(self) -> str:
        came = "" if self.got is None else f", got {self.got!r}"
        return f"{self.field}: {self.expected}{came}"


class InvalidRequest(EndpointError):
    """The request is not what the endpoint takes: sent again, it is refused again."""

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__("; ".join(map(str, errors)) or detail, status=status, request_id=request_id)
        self.detail = detail
        self.errors = tuple(errors)
        """Field by field; empty when no field is to blame."""


class NotAllowed(EndpointError):
    """A key is needed, or the one given does not allow this."""


class Unavailable(EndpointError):
    """Nothing answered, or only "come again", until the attempts or their time were used up: try later."""

    def __init__(
        self, detail: str, *, attempts: int, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(detail, status=status, request_id=request_id)
        self.attempts = attempts


class EndpointFailed(EndpointError):
    """The endpoint failed, or what answered at this address is none."""
