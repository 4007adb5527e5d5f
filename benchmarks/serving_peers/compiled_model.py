"""The champion as the project compiles it, for peers that serve the same arithmetic as our endpoint.

The one place that knows how the compiled model is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "model"
"""Its folder among the sources of a Bento."""


def is_there(sources: Path) -> bool:
    """Whether the Bento of these sources has a compiled model."""
    return (sources / FOLDER / "model.onnx").exists()


def load() -> Callable[[Any], float]:
    """A validated request, or any object with its fields in `__dict__` → prediction."""
    import usecases
    from serving import compiled

    folder = Path(os.environ["BENCHMARK_SOURCES"]) / FOLDER
    return compiled.load(folder, usecases.contract_of("taxi")).predict
