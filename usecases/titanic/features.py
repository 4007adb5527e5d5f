"""The one definition of the features: request columns → numbers, each row by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from usecases.arithmetic import MANY, Arithmetic, Value

if TYPE_CHECKING:
    import pandas as pd


def compute(arithmetic: Arithmetic, passenger: Mapping[str, Value]) -> dict[str, Value]:
    """Features by name."""
    number = arithmetic.number
    family = number(passenger["SibSp"]) + number(passenger["Parch"]) + 1
    fare = number(passenger["Fare"])
    ticket_class = number(passenger["Pclass"])
    female = number(passenger["Sex"] == "female")
    return {
        "female": female,
        "class": ticket_class,
        "female_class": female * ticket_class,
        "age": number(passenger["Age"]),
        "family": family,
        "alone": number(family == 1),
        "fare": fare,
        "fare_per_head": fare / family,
        "from_cherbourg": number(passenger["Embarked"] == "C"),
        "from_queenstown": number(passenger["Embarked"] == "Q"),
    }


def encode(
    arithmetic: Arithmetic, passenger: Mapping[str, Value], tables: Mapping[str, Any]
) -> Sequence[Value]:
    """Features in their order."""
    return list(compute(arithmetic, passenger).values())


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """The frame that every candidate learns from; `rows` is not changed."""
    import pandas as pd

    from usecases.base import columns

    return pd.DataFrame(compute(MANY, columns(rows)))
