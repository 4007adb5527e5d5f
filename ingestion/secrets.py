"""Secrets by their names: from the environment, or from ZenML's store of secrets."""

from __future__ import annotations

import os

from errors import UsageError

PREFIX = "MODELYARD_SECRET_"
KEY = "value"
"""Of a secret in ZenML's store."""


def secret(name: str) -> str:
    """The secret called `name`.

    Raises:
        UsageError: there is none; it says how to give it.
    """
    variable = PREFIX + name.upper()
    if given := os.environ.get(variable):
        return given
    from zenml.client import Client

    try:
        values = Client().get_secret(name, allow_partial_name_match=False).secret_values
    except KeyError:
        values = {}
    if KEY not in values:
        raise UsageError(
            f"There is no secret {name}: set {variable}, or keep it in ZenML's store, encrypted: "
            f"python run.py zenml secret create {name} --values=@FILE, a JSON file with the key {KEY}."
        )
    return str(values[KEY])
