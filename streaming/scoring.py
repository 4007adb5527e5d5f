"""Events → rows of the log: by the endpoint's own rules, model and words, many at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import SchemaValidator, core_schema

from serving.client import words
from serving.contract import field_errors
from serving.log.spool import escaped, text_field
from serving.repeated import repeated
from streaming.events import Event

if TYPE_CHECKING:
    from serving.endpoint import Endpoint

T = TypeVar("T", bound=BaseModel)
_SPACES = bytes.maketrans(b"\t\n\r", b"   ")


class Outcome(BaseModel):
    """What came true of the prediction with the event's id."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    value: float


class Row(NamedTuple):
    """An event that was taken."""

    event: Event
    line: bytes
    """As COPY takes it."""
    answer: bytes = b""
    """What is told of it: the prediction; of an outcome nothing."""


class Refusal(NamedTuple):
    """An event that cannot be taken."""

    event: Event
    reason: str


class Reader(Generic[T]):
    """Values of events, each read by itself as a body of the endpoint is."""

    def __init__(self, model: type[T]) -> None:
        many = core_schema.list_schema(core_schema.json_schema(model.__pydantic_core_schema__))
        self._many: Callable[[Any], list[T]] = SchemaValidator(many).validate_python
        self._one: Callable[[bytes], T] = model.__pydantic_validator__.validate_json

    def read(self, events: Sequence[Event]) -> tuple[list[tuple[Event, T]], list[Refusal]]:
        """The valid events, each with what it says, and why others are not."""
        refused = [Refusal(event, event.trouble) for event in events if event.trouble]
        fine = [event for event in events if not event.trouble] if refused else events
        try:
            found = list(zip(fine, self._many([event.value for event in fine]), strict=True))
        except ValidationError:
            found = list(self._one_by_one(fine, refused))
        for event, said in found:
            if key := repeated(event.value, len(said.__pydantic_fields_set__)):
                refused.append(Refusal(event, f"{key}: Is given more than once."))
        twice = {id(refusal.event) for refusal in refused}
        return [pair for pair in found if id(pair[0]) not in twice] if twice else found, refused

    def _one_by_one(self, events: Sequence[Event], refused: list[Refusal]) -> Iterator[tuple[Event, T]]:
        for event in events:
            try:
                yield event, self._one(event.value)
            except ValidationError as error:
                problems = [each.model_dump(exclude_none=True) for each in field_errors(error)]
                refused.append(Refusal(event, "; ".join(map(words, problems))))


class Scorer:
    """One model version, and the rows of the log that it makes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._reader = Reader(endpoint.contract.request)
        self._use_case = text_field(endpoint.contract.name)

    def score(self, events: Sequence[Event]) -> tuple[list[Row], list[Refusal]]:
        """Predictions for requests, in their order, and why others get none."""
        found, refused = self._reader.read(events)
        if not found:
            return [], refused
        outputs = self.endpoint.outputs([request for _, request in found])
        now = time.time()
        head = f"{self._use_case}\t{_moment(now)}\t".encode()
        version = self.endpoint.version
        rows = []
        for (event, _), output in zip(found, outputs, strict=True):
            middle = f"{event.id}\t0\t{version}\t\\N\t{max(0.0, now - event.time):.6f}\t".encode()
            line = b"%b%b%b\t%b\n" % (head, middle, _json(event.value), _json(output))
            rows.append(Row(event, line, self.endpoint.answer(output)))
        return rows, refused


class Outcomes:
    """Rows of what came true."""

    def __init__(self, use_case: str) -> None:
        self._reader = Reader(Outcome)
        self._use_case = text_field(use_case)

    def read(self, events: Sequence[Event]) -> tuple[list[Row], list[Refusal]]:
        """The outcomes, in their order, and why others are none."""
        found, refused = self._reader.read(events)
        return [Row(event, self._line(event, outcome)) for event, outcome in found], refused

    def _line(self, event: Event, outcome: Outcome) -> bytes:
        return f"{self._use_case}\t{event.id}\t0\t{outcome.value!r}\t{_moment(event.time)}\n".encode()


def _json(value: bytes) -> bytes:
    """JSON as a field of COPY; raw white space in it stands between its tokens."""
    if b"\n" in value or b"\t" in value or b"\r" in value:
        value = value.translate(_SPACES)
    return escaped(value) if b"\\" in value else value


def _moment(seconds: float) -> str:
    """As PostgreSQL reads it, in UTC."""
    whole = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1e6):06d}+00"
