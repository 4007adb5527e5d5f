"""Prediction problems, a folder each; `load` finds them by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from errors import UsageError

if TYPE_CHECKING:
    from usecases.base import UseCase
    from usecases.contract import Contract


def names() -> list[str]:
    """Names of the use cases at hand: the folders beside this file."""
    here = Path(__file__).parent
    return sorted(path.parent.name for path in here.glob("*/use_case.py"))


def load(name: str) -> UseCase:
    """The use case called `name`.

    Raises:
        UsageError: there is none of that name.
    """
    use_case: UseCase = _module(name, "use_case").USE_CASE
    return use_case


def contract_of(name: str) -> Contract:
    """What an endpoint of the use case called `name` takes and gives.

    Raises:
        UsageError: there is none of that name.
    """
    found: Contract = _module(name, "contract").CONTRACT
    return found


def _module(name: str, part: str) -> ModuleType:
    if name not in names():
        raise UsageError(f"There is no use case {name!r}; there are: {', '.join(names())}.")
    return importlib.import_module(f"usecases.{name}.{part}")
