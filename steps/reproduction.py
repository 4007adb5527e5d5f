"""A recorded training done again, and its predictions beside the recorded ones."""

from typing import Annotated, Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from zenml import step

import usecases


@step
def refit(
    use_case: str, candidate: str, parameters: dict[str, Any], train: pd.DataFrame, seed: int
) -> Annotated[Pipeline, "model"]:
    """Fit the recorded candidate with the recorded parameters and seed."""
    from training.search import fit

    case = usecases.load(use_case)
    return fit(case, case.candidate(candidate), parameters, train, seed=seed)


@step(experiment_tracker=True)
def compare_predictions(
    use_case: str, version: int, model: Pipeline, validation: pd.DataFrame
) -> tuple[Annotated[bool, "equal"], Annotated[int, "rows"], Annotated[float, "largest_difference"]]:
    """Whether the predictions on the validation rows are those recorded, bit for bit."""
    from tracking import registry

    recorded = registry.load(registry.find(use_case, str(version))).validation
    now = usecases.load(use_case).predict(model, validation)
    then = recorded[registry.PREDICTION].to_numpy(dtype=np.float64)
    if len(now) != len(then):
        return False, len(now), float("inf")
    return now.tobytes() == then.tobytes(), len(now), float(np.abs(now - then).max())
