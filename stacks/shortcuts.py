"""What ZenML does anew for each process or step although the outcome stays the same: done once, late or not.

Together this takes two seconds from each command. Nothing that ZenML checks or records changes by it.
"""

from __future__ import annotations

import functools
import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any, Literal, cast

from pydantic import BaseModel


def import_zenml(store: Literal["sql", "rest"] = "sql") -> None:
    """Import ZenML without compiling the validators of its six hundred models: each when it is first used."""
    if "zenml" in sys.modules:
        return
    with _compiled_late():
        importlib.import_module("zenml")
        importlib.import_module(f"zenml.zen_stores.{store}_zen_store")
    # Two thousand modules are no garbage: looking through them takes a sixth of a second each time.
    gc.freeze()


def look_up_once() -> None:
    """Keep what ZenML would look up for each step; the second call adds what was imported since."""
    from zenml.environment import Environment
    from zenml.utils import source_utils

    _activate_materializers()
    if hasattr(source_utils._get_package_for_module, "cache_info"):
        return
    sources: Any = source_utils
    sources._get_package_for_module = functools.cache(_package_of(source_utils._get_package_for_module))
    # ZenML starts `uv pip freeze` for each step's environment.
    packages = staticmethod(functools.cache(Environment.get_python_packages))
    cast(Any, Environment).get_python_packages = packages


@contextmanager
def _compiled_late() -> Iterator[None]:
    """Models that are defined meanwhile, and those derived from them, are compiled at their first use."""
    base: Any = BaseModel
    rebuild = base.model_rebuild.__func__

    def resolve(cls: Any, /, **options: Any) -> Any:
        # zenml.models ends with rebuilding its models, since by then every name that they refer to is known.
        # Only that needs to happen there.
        names = sys._getframe(1).f_globals
        if names["__name__"] != "zenml.models":
            # One call further away than pydantic takes the names from.
            depth = options.pop("_parent_namespace_depth", 2) + 1
            return rebuild(cls, _parent_namespace_depth=depth, **options)
        if not cls.__pydantic_fields_complete__:
            _resolve_fields(names)
        return None

    base.model_config["defer_build"] = True
    base.model_rebuild = classmethod(resolve)
    try:
        yield
    finally:
        del base.model_config["defer_build"]
        base.model_rebuild = classmethod(rebuild)


def _resolve_fields(names: dict[str, Any]) -> None:
    """Read the annotations of all models among a module's `names` that refer to others of these names."""
    from pydantic._internal._config import ConfigWrapper
    from pydantic._internal._fields import rebuild_model_fields
    from pydantic._internal._namespace_utils import NsResolver

    models = [found for found in names.values() if isinstance(found, type) and issubclass(found, BaseModel)]
    for model in models:
        if not model.__pydantic_fields_complete__:
            model.__pydantic_fields__ = rebuild_model_fields(
                model,
                config_wrapper=ConfigWrapper(model.model_config, check=False),
                ns_resolver=NsResolver(parent_namespace=names),
                typevars_map={},
            )


def _activate_materializers() -> None:
    """Only those integrations of ZenML whose materializers our artifacts need.

    By itself ZenML imports every integration whose packages are installed.
    """
    from zenml.integrations.pandas import PandasIntegration
    from zenml.integrations.registry import integration_registry

    PandasIntegration.activate()
    if "sklearn" in sys.modules:
        from zenml.integrations.sklearn import SklearnIntegration

        SklearnIntegration.activate()
    cast(Any, integration_registry).activate_integrations = lambda: None


def _package_of(search: Any) -> Any:
    """The package that a module comes from: mostly one of its name; only else ZenML's search through all."""

    def package_of(module_name: str) -> str | None:
        name = module_name.split(".", maxsplit=1)[0]
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            found: str | None = search(module_name)
            return found
        return name

    return package_of
