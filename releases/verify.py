"""An endpoint's answers beside offline predictions: they must be equal, and come in time."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import usecases
from errors import ReleaseError
from serving import client, model
from serving.contract import MAX_ROWS
from serving.verification import draw, evenly, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from serving.package import ModelPackage
    from usecases.base import UseCase

SINGLE = 25
"""Rows that are asked for one by one."""
BATCH = 2 * MAX_ROWS
"""Rows that are asked for in batches."""
SECONDS = 0.5
"""Half of the single answers must come within this time; one that is made anew takes a few milliseconds."""


def verify(address: str, package: ModelPackage, key: str | None = None) -> int:
    """Ask the endpoint for rows drawn evenly from the validation rows; returns how many were compared.

    `key` is the one that the endpoint knows its release by. The answers must be what the trained estimator
    predicts, up to the use case's bound for compiled models.

    Raises:
        ReleaseError: it serves another version, refuses a row, an answer differs, or it is too slow.
    """
    use_case = usecases.load(package.use_case)
    requests = draw(use_case.contract, package.examples, BATCH)
    version = {"model_version": package.model_version}
    expected = [answer | version for answer in _offline(use_case, package.model, requests)]
    values = [request.model_dump(mode="json") for request in requests]
    single = evenly(len(values), SINGLE)
    with client.connect(address, key) as endpoint:
        answers, seconds = _one_by_one(endpoint, [values[index] for index in single])
        answers += endpoint.predict_many(values)
        asked = [*single, *range(len(values))]
        for index, answer in zip(asked, answers, strict=True):
            if isinstance(answer, client.Refused) or not same(expected[index], answer, use_case.parity):
                raise ReleaseError(
                    f"The endpoint does not answer what the model predicts offline: for {values[index]} "
                    f"{expected[index]} was expected, {answer} came."
                )
    if median(seconds) > SECONDS:
        raise ReleaseError(
            f"The endpoint is too slow: half of {len(seconds)} requests, made one by one, took more than "
            f"{median(seconds) * 1000:.0f} ms, and {SECONDS * 1000:.0f} are allowed."
        )
    return len(asked)


def _offline(use_case: UseCase, fitted: Any, requests: Sequence[BaseModel]) -> list[dict[str, Any]]:
    predictions = model.predict(use_case, fitted, use_case.request_frame(requests))
    return [use_case.respond(value).model_dump(mode="json") for value in predictions.tolist()]


def _one_by_one(endpoint: client.Client, requests: list[Any]) -> tuple[list[Any], list[float]]:
    """Answers, and the seconds that each took."""
    answers, seconds = [], []
    for request in requests:
        begin = perf_counter()
        answers.append(endpoint.predict(request))
        seconds.append(perf_counter() - begin)
    return answers, seconds
