"""The champion as an ONNX graph behind the project's arithmetic, for peers that compile what they serve.

The one place that knows how that is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "onnx"
"""Its folder in that of the champion."""


def load() -> Callable[[Any], float]:
    """A validated request, or any object with its fields in `__dict__` → prediction."""
    import usecases
    from serving import compiled

    folder = Path(os.environ["BENCHMARK_FOLDER"]) / FOLDER
    return compiled.load(folder, usecases.contract_of("taxi")).predict
