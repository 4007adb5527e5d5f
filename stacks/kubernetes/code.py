"""The code of the clone that goes with each run to its pods."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from serving.trees.forest import libraries
from settings import PROJECT


@cache
def take_libraries_along() -> None:
    """Let ZenML's archives of code hold the libraries that predict trees, too.

    Git ignores them, so ZenML would leave them behind; a pod's own would be those of another kernel than the
    code that a run brings.
    """
    from zenml.utils.code_utils import CodeArchive

    get_files = CodeArchive.get_files

    def with_libraries(self: CodeArchive) -> dict[str, str]:
        return get_files(self) | {str(path.relative_to(PROJECT)): str(path) for path in libraries()}

    cast(Any, CodeArchive).get_files = with_libraries
