"""Rows of the validation data and the answers that belong to them: what endpoints are held against."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from errors import ModelyardError, ReleaseError
from serving import model, rows

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from serving.endpoint import Endpoint
    from usecases.base import UseCase

PROOF = 200
"""Rows that a Bento carries and answers before it is ready."""
_SINGLE = 3
"""How many of them are asked for one by one, too."""


def draw(use_case: UseCase, examples: pd.DataFrame, count: int) -> list[BaseModel]:
    """Up to `count` rows, drawn evenly, that are valid requests; a meter's nonsense is refused on purpose.

    Raises:
        ReleaseError: most rows are no valid requests.
    """
    drawn = rows.requests(use_case, examples.iloc[evenly(len(examples), count)])
    valid = [request for request in (_valid(use_case, values) for values in drawn) if request is not None]
    if len(valid) < len(drawn) / 2:
        raise ReleaseError(
            f"Only {len(valid)} of {len(drawn)} validation rows of {use_case.name} are valid requests; "
            "the request model and the cleaning rule don't fit together."
        )
    return valid


def offline(use_case: UseCase, fitted: Any, requests: Sequence[BaseModel]) -> list[dict[str, Any]]:
    """The answers of the model in this process, without an endpoint."""
    predictions = model.predict(use_case, fitted, use_case.request_frame(requests))
    return [use_case.respond(value).model_dump(mode="json") for value in predictions.tolist()]


def evenly(length: int, count: int) -> list[int]:
    """Up to `count` different indices below `length`, first and last among them."""
    return [int(index) for index in np.unique(np.linspace(0, length - 1, min(count, length)).round())]


def proof(use_case: UseCase, fitted: Any, examples: pd.DataFrame) -> list[dict[str, Any]]:
    """What a Bento carries: requests, and beside each its `answer`.

    Raises:
        ReleaseError: most rows are no valid requests.
    """
    requests = draw(use_case, examples, PROOF)
    answers = offline(use_case, fitted, requests)
    return [
        {"request": request.model_dump(mode="json"), "answer": answer}
        for request, answer in zip(requests, answers, strict=True)
    ]


def prove(endpoint: Endpoint, cases: Sequence[Mapping[str, Any]]) -> None:
    """Let the endpoint answer all cases as one batch, and the first few singly.

    Raises:
        ModelyardError: an answer is not the one that belongs to its request.
    """
    requests = [case["request"] for case in cases]
    batch = json.loads(endpoint.answer_batch(json.dumps({"rows": requests}).encode()))["predictions"]
    singles = [json.loads(endpoint.answer(json.dumps(request).encode())) for request in requests[:_SINGLE]]
    for answer in singles:
        del answer["model_version"]
    came = [*enumerate(batch), *enumerate(singles)]
    for number, answer in came:
        expected = cases[number]["answer"]
        if not same(expected, answer):
            raise ModelyardError(
                "The model in this Bento does not answer what it did when it was packed: for row "
                f"{number + 1} of {len(cases)}, {requests[number]}, {expected} was expected, {answer} came. "
                "The model's file or the libraries are not those that it was packed with; package it anew."
            )


def same(expected: Mapping[str, Any], came: Mapping[str, Any]) -> bool:
    """Whether two answers are the same, up to the last bits of their numbers."""
    return expected.keys() == came.keys() and all(_equal(expected[name], came[name]) for name in expected)


def _equal(expected: Any, came: Any) -> bool:
    # BLAS has a kernel for each kind of CPU, and they round differently: a node of another kind than the
    # machine that packed the Bento is no reason to refuse. Another model is further off than this.
    if isinstance(expected, float) and isinstance(came, float):
        return math.isclose(expected, came, rel_tol=1e-9, abs_tol=1e-12)
    return bool(expected == came)


def _valid(use_case: UseCase, values: dict[str, Any]) -> BaseModel | None:
    try:
        return use_case.request.model_validate_json(json.dumps(values))
    except ValidationError:
        return None
