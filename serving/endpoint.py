"""A model version ready to answer: what lies in a Bento's folder, loaded and put to the proof."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import environment
import usecases
from errors import ModelyardError
from serving import columns, compiled, contract, verification

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from pydantic import BaseModel

    from serving.compiled import Compiled
    from usecases.contract import Contract

MODEL = "model"
PROVENANCE = "provenance.json"
PROFILE = "profile.json"
OPENAPI = "openapi.json"
VERIFICATION = "verification.json"
REFERENCE = "reference.parquet"
"""Some of the rows that the version was judged by. Endpoints don't read it; streams measure drift from it."""


class Endpoint:
    """One model version and everything that its answers need."""

    def __init__(
        self,
        case: Contract,
        model: Compiled,
        provenance: Mapping[str, Any],
        profile: Mapping[str, Any],
        openapi: bytes,
        folder: Path | None = None,
    ) -> None:
        """`folder` has the sources of its Bento."""
        self.contract, self.folder = case, folder
        self.provenance, self.profile, self.openapi = provenance, profile, openapi
        self.version = int(provenance["model_version"])
        self.rules = columns.rules(case.request)
        self.predict, self.predict_columns = model.predict, model.predict_columns
        self.validate = case.request.__pydantic_validator__.validate_json
        """(body) → request; raises pydantic.ValidationError."""
        self._batch = contract.batch_request(case).__pydantic_validator__.validate_json
        self._version = f',"model_version":{self.version}}}'.encode()

    def output(self, request: BaseModel) -> bytes:
        """The response to a valid request, as JSON."""
        response = self.contract.respond(self.predict(request))
        return response.__pydantic_serializer__.to_json(response)

    def answer(self, output: bytes) -> bytes:
        """What is sent: the response's fields, and the version that they come from."""
        return output[:-1] + self._version

    def validate_batch(self, body: bytes) -> list[BaseModel]:
        """The rows of `{"rows": [request, …]}`.

        Raises:
            pydantic.ValidationError: the body is not a valid batch.
        """
        rows: list[BaseModel] = self._batch(body).rows
        return rows

    def outputs(self, requests: list[BaseModel]) -> list[bytes]:
        """The responses to valid requests, as JSON."""
        respond = self.contract.respond
        responses = [respond(value) for value in self.predict_many(requests).tolist()]
        return [response.__pydantic_serializer__.to_json(response) for response in responses]

    def answer_batch(self, outputs: list[bytes]) -> bytes:
        """What is sent for a batch: `predictions` in the rows' order, and the version that they come from."""
        return b'{"predictions":[' + b",".join(outputs) + b"]" + self._version

    def predict_many(self, requests: list[BaseModel]) -> npt.NDArray[np.float64]:
        """Predictions for valid requests; shape (requests,)."""
        return self.predict_columns(columns.from_requests(self.rules, requests))

    def describe(self) -> dict[str, Any]:
        """What the model is made of, and what it takes."""
        return {
            **self.provenance,
            "title": self.contract.title,
            "task": self.contract.task,
            "max_rows": contract.MAX_ROWS,
            "example": dict(self.contract.example),
            "request": self._request_schema,
        }

    @cached_property
    def _request_schema(self) -> dict[str, Any]:
        return self.contract.request.model_json_schema()


def load(folder: Path) -> Endpoint:
    """The endpoint of the Bento whose sources lie in `folder`, once it answers as it should.

    Raises:
        ModelyardError: the environment is not the one that it was packed for, or it answers differently.
    """
    provenance = json.loads((folder / PROVENANCE).read_text())
    differ = environment.differences(provenance["environment"])
    if differ:
        raise ModelyardError(
            f"This Bento was packed for another environment: {'; '.join(differ)}. "
            "Serve it on the image that belongs to it, or package it anew."
        )
    case = usecases.contract_of(provenance["use_case"])
    endpoint = Endpoint(
        case,
        compiled.load(folder / MODEL, case),
        provenance,
        json.loads((folder / PROFILE).read_text()),
        (folder / OPENAPI).read_bytes(),
        folder,
    )
    # Also warms every lazy part of the libraries, so that the first caller doesn't pay for it.
    verification.prove(endpoint, json.loads((folder / VERIFICATION).read_text()))
    return endpoint
