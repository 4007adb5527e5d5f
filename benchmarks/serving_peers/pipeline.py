"""The champion as scikit-learn's pipeline, for peers that serve it as it was trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

FILE = "pipeline.skops"


class Pipeline:
    """The fitted pipeline in the folder that the environment names."""

    def __init__(self) -> None:
        import skops.io

        import usecases

        file = Path(os.environ["BENCHMARK_FOLDER"]) / FILE
        self._model = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
        self._use_case = usecases.load("taxi")

    def of_request(self, request: BaseModel) -> float:
        """The prediction for a validated request."""
        return self.of_frame(self._use_case.request_frame([request]))

    def of_values(self, values: Mapping[str, Any]) -> float:
        """The prediction for JSON values, taken as they come."""
        import pandas as pd

        frame = pd.DataFrame([values])
        frame["lpep_pickup_datetime"] = pd.to_datetime(frame["lpep_pickup_datetime"])
        return self.of_frame(frame)

    def of_frame(self, frame: Any) -> float:
        """The prediction for the one row of a frame."""
        return float(self._model.predict(frame)[0])
