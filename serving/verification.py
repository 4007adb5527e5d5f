"""Rows of the validation data and the answers that belong to them: what endpoints are held against."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from errors import ModelyardError, ReleaseError
from serving import rows

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from serving.compiled import Compiled
    from serving.endpoint import Endpoint
    from usecases.contract import Contract

PROOF = 200
"""Rows that a Bento carries and answers before it is ready."""
_SINGLE = 3
"""How many of them are asked for one by one, too."""
_TOLERANCE = 1e-9
"""Relative: kernels for another kind of CPU, and for many rows at once, add in another order. A node of
another kind than the machine that packed the Bento is no reason to refuse; another model is further off."""


def draw(contract: Contract, examples: pd.DataFrame, count: int) -> list[BaseModel]:
    """Up to `count` rows, drawn evenly, that are valid requests; a meter's nonsense is refused on purpose.

    Raises:
        ReleaseError: most rows are no valid requests.
    """
    drawn = rows.requests(contract, examples.iloc[evenly(len(examples), count)])
    valid = [request for request in (_valid(contract, values) for values in drawn) if request is not None]
    if len(valid) < len(drawn) / 2:
        raise ReleaseError(
            f"Only {len(valid)} of {len(drawn)} validation rows of {contract.name} are valid requests; "
            "the request model and the cleaning rule don't fit together."
        )
    return valid


def answers(contract: Contract, fast: Compiled, requests: Sequence[BaseModel]) -> list[dict[str, Any]]:
    """The answers of the compiled model in this process, without an endpoint."""
    return [contract.respond(fast.predict(request)).model_dump(mode="json") for request in requests]


def evenly(length: int, count: int) -> list[int]:
    """Up to `count` different indices below `length`, first and last among them."""
    return [int(index) for index in np.unique(np.linspace(0, length - 1, min(count, length)).round())]


def proof(contract: Contract, fast: Compiled, examples: pd.DataFrame) -> list[dict[str, Any]]:
    """What a Bento carries: requests, and beside each its `answer`.

    Raises:
        ReleaseError: most rows are no valid requests.
    """
    requests = draw(contract, examples, PROOF)
    return [
        {"request": request.model_dump(mode="json"), "answer": answer}
        for request, answer in zip(requests, answers(contract, fast, requests), strict=True)
    ]


def prove(endpoint: Endpoint, cases: Sequence[Mapping[str, Any]]) -> None:
    """Let the endpoint answer all cases as one batch, and the first few singly.

    Raises:
        ModelyardError: an answer is not the one that belongs to its request.
    """
    requests = [case["request"] for case in cases]
    batch = endpoint.outputs(endpoint.validate_batch(json.dumps({"rows": requests}).encode()))
    singles = [
        endpoint.output(endpoint.validate(json.dumps(request).encode())) for request in requests[:_SINGLE]
    ]
    came = [(number, json.loads(answer)) for number, answer in [*enumerate(batch), *enumerate(singles)]]
    for number, answer in came:
        expected = cases[number]["answer"]
        if not same(expected, answer, _TOLERANCE * max(1.0, *_sizes(expected))):
            raise ModelyardError(
                "The model in this Bento does not answer what it did when it was packed: for row "
                f"{number + 1} of {len(cases)}, {requests[number]}, {expected} was expected, {answer} came. "
                "The model's file or the libraries are not those that it was packed with; package it anew."
            )


def same(expected: Mapping[str, Any], came: Mapping[str, Any], tolerance: float) -> bool:
    """Whether two answers are the same, their numbers up to `tolerance`."""
    return expected.keys() == came.keys() and all(
        _equal(expected[name], came[name], tolerance) for name in expected
    )


def _sizes(answer: Mapping[str, Any]) -> list[float]:
    return [abs(value) for value in answer.values() if isinstance(value, float)]


def _equal(expected: Any, came: Any, tolerance: float) -> bool:
    if isinstance(expected, float) and isinstance(came, float):
        return math.isclose(expected, came, rel_tol=0, abs_tol=tolerance)
    return bool(expected == came)


def _valid(contract: Contract, values: dict[str, Any]) -> BaseModel | None:
    try:
        return contract.request.model_validate_json(json.dumps(values))
    except ValidationError:
        return None
