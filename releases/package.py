"""A registered model version as a Bento in the project's store."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from serving.package import ModelPackage, Packed
from serving.package import package as build
from tracking import registry

if TYPE_CHECKING:
    from pathlib import Path


# Steps of a release that share a process share it: loading a model takes seconds.
@cache
def package(use_case: str, version: int, home: Path) -> tuple[ModelPackage, Packed]:
    """The version with everything beside it, and its Bento below `home`, made when it isn't there yet.

    Raises:
        TrackingError: the registry has no such version, or its files are gone.
        ReleaseError: its predictions are not those that were recorded.
    """
    loaded = registry.load(registry.find(use_case, str(version)))
    content = ModelPackage(
        use_case=use_case,
        model_version=version,
        model=loaded.model,
        provenance={**loaded.provenance, "mlflow_run": loaded.version.run},
        profile=loaded.profile,
        examples=loaded.validation,
    )
    return content, build(content, home / "bentoml")
