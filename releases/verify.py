"""An endpoint's answers beside offline predictions: they must be equal bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

import usecases
from errors import ReleaseError
from serving import client, model, rows
from serving.contract import MAX_ROWS

if TYPE_CHECKING:
    from pydantic import BaseModel

    from serving.package import ModelPackage
    from usecases.base import UseCase

SINGLE = 25
"""Rows that are asked for one by one."""
BATCH = 2 * MAX_ROWS
"""Rows that are asked for in batches."""


def verify(address: str, package: ModelPackage) -> int:
    """Ask the endpoint for rows drawn evenly from the validation rows; returns how many were compared.

    JSON holds the shortest decimal that gives the same float again, so equal means equal in every bit.

    Raises:
        ReleaseError: it serves another version, refuses a row, or an answer differs.
    """
    use_case = usecases.load(package.use_case)
    requests = _requests(use_case, package)
    expected = _offline(use_case, package, requests)
    values = [request.model_dump(mode="json") for request in requests]
    single = _evenly(len(values), SINGLE)
    with client.connect(address) as endpoint:
        answers = [endpoint.predict(values[index]) for index in single] + endpoint.predict_many(values)
        asked = [*single, *range(len(values))]
        for index, answer in zip(asked, answers, strict=True):
            if answer != expected[index]:
                raise ReleaseError(
                    f"The endpoint does not answer what the model predicts offline: for {values[index]} "
                    f"{expected[index]} was expected, {answer} came."
                )
    return len(asked)


def _requests(use_case: UseCase, package: ModelPackage) -> list[BaseModel]:
    """Up to `BATCH` validation rows that are valid requests; a meter's nonsense is refused on purpose."""
    examples = package.examples
    drawn = rows.requests(use_case, examples.iloc[_evenly(len(examples), BATCH)])
    valid = [request for request in (_valid(use_case, values) for values in drawn) if request is not None]
    if len(valid) < len(drawn) / 2:
        raise ReleaseError(
            f"Only {len(valid)} of {len(drawn)} validation rows of {use_case.name} are valid requests; "
            "the request model and the cleaning rule don't fit together."
        )
    return valid


def _valid(use_case: UseCase, values: dict[str, Any]) -> BaseModel | None:
    import json

    try:
        return use_case.request.model_validate_json(json.dumps(values))
    except ValidationError:
        return None


def _offline(use_case: UseCase, package: ModelPackage, requests: list[BaseModel]) -> list[dict[str, Any]]:
    predictions = model.predict(use_case, package.model, use_case.request_frame(requests))
    return [
        {**use_case.respond(value).model_dump(mode="json"), "model_version": package.model_version}
        for value in predictions.tolist()
    ]


def _evenly(length: int, count: int) -> list[int]:
    """Up to `count` different indices below `length`, first and last among them."""
    return [int(index) for index in np.unique(np.linspace(0, length - 1, min(count, length)).round())]
