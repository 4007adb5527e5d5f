"""The environment that a model was made in and the one that it runs in: predictions depend on both."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence

SERVING = ("numpy", "onnxruntime", "pydantic")
"""Libraries between a request and its answer."""
TRAINING = ("numpy", "pandas", "scikit-learn")
"""Libraries between data and a fitted model."""


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Python's version, major and minor, and those of `libraries`."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python} | {name: importlib.metadata.version(name) for name in libraries}


def differences(recorded: Mapping[str, str]) -> list[str]:
    """What is not as it was recorded, in words; nothing when all is."""
    here = versions([name for name in recorded if name != "python"])
    return [
        f"{name} was {version} and is {here[name]}"
        for name, version in recorded.items()
        if here[name] != version
    ]
