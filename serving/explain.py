"""Why a prediction is what it is: how far each field, alone, moves it away from the typical."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, Field, ValidationError

if TYPE_CHECKING:
    from usecases.contract import Contract

Response = TypeVar("Response", bound=BaseModel)


class Effect(BaseModel):
    """How much one field of the request matters for its prediction."""

    field: str = Field(description="Name of the field.")
    value: Any = Field(description="What was sent.")
    typical: Any = Field(description="What the field typically is.")
    effect: float = Field(
        description="The prediction minus the one with this field alone at its typical value: "
        "above 0, what was sent raises the prediction."
    )


class Explanation(BaseModel, Generic[Response]):
    """A prediction beside the typical one, and the effect of each field, the largest first."""

    prediction: Response = Field(description="The answer to the request.")
    typical_prediction: float | None = Field(
        description="Median prediction at training time; null when it is not known."
    )
    effects: list[Effect] = Field(
        description="Field by field, the largest first. They do not add up to the difference between "
        "the prediction and the typical one."
    )


@dataclass(frozen=True)
class Typical:
    """What requests and predictions typically were when the model was trained."""

    values: Mapping[str, Any]
    """Field → typical value, as a valid request holds it; fields without one are left out."""
    prediction: float | None


def typical(contract: Contract, profile: Mapping[str, Any]) -> Typical:
    """Typical values out of the reference profile (training/profile.py).

    Numbers and datetimes are typically their median; texts, truth values and whole numbers that the profile
    counted (they may be codes, of which no median makes sense) are typically what they were most often; and a
    field is typically null if it mostly was. Whole numbers of very many values are not counted, so codes such
    as 265 zones have the median of their numbers: a valid zone, no more. Each value is one that the request
    model takes; a field for which there is none is left out.
    """
    schema = contract.request.model_json_schema()
    values = {}
    for name, column in profile.get("columns", {}).items():
        if name not in contract.request.model_fields:
            continue
        for value in _candidates(_plain(schema, schema["properties"][name]), column, profile["rows"]):
            document = json.dumps({**contract.example, name: value})
            try:
                values[name] = getattr(contract.request.model_validate_json(document), name)
            except ValidationError:
                continue
            break
    order = [name for name in contract.request.model_fields if name in values]
    prediction = profile.get("prediction", {}).get("0.5")
    return Typical({name: values[name] for name in order}, prediction)


def explain(
    contract: Contract,
    typical: Typical,
    predict_many: Callable[[Sequence[BaseModel]], Sequence[float]],
    request: BaseModel,
) -> Explanation[Any]:
    """What each field of a valid request does to its prediction.

    This is one-at-a-time ablation towards the typical value: the request is predicted once as it is, and
    once for each field with that field alone set to its typical value, all in one call of `predict_many`. A
    field's effect is the first prediction minus the second, in the model's own number (for a classification
    the probability); a field that is at its typical value, or that the model ignores, has effect 0.

    These are no Shapley values: effects neither add up to the difference from the typical prediction nor
    share out what fields do together, and of two fields that say the same each may have effect 0. They tell
    what the model does at this request, not what would happen in the world if the field were changed.
    """
    changed = [request.model_copy(update={name: value}) for name, value in typical.values.items()]
    prediction, *others = map(float, predict_many([request, *changed]))
    effects = [
        Effect(field=name, value=getattr(request, name), typical=value, effect=prediction - other)
        for (name, value), other in zip(typical.values.items(), others, strict=True)
    ]
    effects.sort(key=lambda effect: -abs(effect.effect))
    return Explanation(
        prediction=contract.respond(prediction), typical_prediction=typical.prediction, effects=effects
    )


def _candidates(schema: Mapping[str, Any], column: Mapping[str, Any], rows: int) -> Iterator[Any]:
    """JSON values that may be typical of a column, the likeliest first; not all need to be valid."""
    if 2 * column["missing"] > rows:
        yield None
    kind = schema.get("type")
    if "quantiles" in column:
        median = column["quantiles"]["0.5"]
        if kind == "string":
            yield datetime.fromtimestamp(round(median), UTC).replace(tzinfo=None).isoformat()
        else:
            yield round(median) if kind == "integer" else median
        return
    counts: Mapping[str, int] = column["counts"]
    if kind == "number" and counts:
        yield _median({float(key): count for key, count in counts.items()})
    for key in sorted(counts, key=lambda key: -counts[key]):
        yield _value(schema, key)


def _value(schema: Mapping[str, Any], key: str) -> Any:
    """What a counted value, which the profile has as text, is in JSON."""
    if "enum" in schema:
        return next((value for value in schema["enum"] if str(value) == key), key)
    match schema.get("type"):
        case "integer":
            return round(float(key))  # a column with gaps counts "1.0"
        case "number":
            return float(key)
        case "boolean":
            return key == "True"
        case _:
            return key


def _median(counts: Mapping[float, int]) -> float:
    """The middle one of counted numbers; of two, the lower."""
    values = sorted(counts)
    up_to = list(accumulate(counts[value] for value in values))
    return values[bisect_left(up_to, up_to[-1] / 2)]


def _plain(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A field's schema without references and without null."""
    if "$ref" in schema:
        return _plain(document, document["$defs"][schema["$ref"].rpartition("/")[2]])
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return _plain(document, choice)
    return schema
