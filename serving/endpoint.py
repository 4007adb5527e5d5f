"""A model version ready to answer: what lies in a Bento's folder, loaded and put to the proof."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

import usecases
from serving import contract, model, verification

if TYPE_CHECKING:
    from usecases.base import UseCase

MODEL = "model"
PROVENANCE = "provenance.json"
PROFILE = "profile.json"
OPENAPI = "openapi.json"
VERIFICATION = "verification.json"


@dataclass(frozen=True)
class Endpoint:
    """One model version and everything that its answers need."""

    use_case: UseCase
    model: Any
    """Fitted scikit-learn pipeline over request columns."""
    provenance: Mapping[str, Any]
    openapi: bytes
    batch: type[BaseModel]

    @property
    def version(self) -> int:
        """Number of the model version."""
        return int(self.provenance["model_version"])

    def answer(self, body: bytes) -> bytes:
        """The answer to one request: the response's fields and `model_version`, as JSON.

        Raises:
            pydantic.ValidationError: the body is not a valid request.
        """
        request = self.use_case.request.model_validate_json(body)
        (response,) = self._respond([request])
        return _ANSWER.dump_json({**response.model_dump(), "model_version": self.version})

    def answer_batch(self, body: bytes) -> bytes:
        """The answer to `{"rows": [request, …]}`: `predictions` in the rows' order and `model_version`.

        Raises:
            pydantic.ValidationError: the body is not a valid batch.
        """
        rows = self.batch.model_validate_json(body).rows  # type: ignore[attr-defined]
        responses = [response.model_dump() for response in self._respond(rows)]
        return _ANSWER.dump_json({"predictions": responses, "model_version": self.version})

    def describe(self) -> dict[str, Any]:
        """What the model is made of, and what it takes."""
        return {
            **self.provenance,
            "title": self.use_case.title,
            "task": self.use_case.task,
            "max_rows": contract.MAX_ROWS,
            "example": dict(self.use_case.example),
            "request": self.use_case.request.model_json_schema(),
        }

    def _respond(self, requests: Sequence[BaseModel]) -> list[BaseModel]:
        frame = self.use_case.request_frame(requests)
        predictions = model.predict(self.use_case, self.model, frame)
        return [self.use_case.respond(value) for value in predictions.tolist()]


_ANSWER = TypeAdapter(dict[str, Any])


def load(folder: Path) -> Endpoint:
    """The endpoint of the Bento whose sources lie in `folder`, once it answers as it should.

    Raises:
        ModelyardError: the model holds parts that a Bento may not hold, or answers differently.
    """
    provenance = json.loads((folder / PROVENANCE).read_text())
    use_case = usecases.load(provenance["use_case"])
    endpoint = Endpoint(
        use_case=use_case,
        model=model.load(folder / MODEL),
        provenance=provenance,
        openapi=(folder / OPENAPI).read_bytes(),
        batch=contract.batch_request(use_case),
    )
    # Also warms every lazy part of the libraries, so that the first caller doesn't pay for it.
    verification.prove(endpoint, json.loads((folder / VERIFICATION).read_text()))
    return endpoint
