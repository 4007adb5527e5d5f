"""MLflow for steps that log nothing: ZenML's tracker would begin a run of its own, which takes seconds."""

from __future__ import annotations

import os
from typing import Any, cast


def open_tracking() -> None:
    """Point this process's MLflow at that of the active stack, logged in."""
    import mlflow
    from zenml.client import Client

    tracker = Client().active_stack.experiment_tracker
    assert tracker is not None, "the stack of a cluster has a tracker"
    config = cast(Any, tracker.config)
    # A tracker of a step before, in the same process, has left MLflow without an address.
    mlflow.set_tracking_uri(config.tracking_uri)
    os.environ |= {
        "MLFLOW_TRACKING_URI": config.tracking_uri,
        "MLFLOW_TRACKING_USERNAME": config.tracking_username,
        "MLFLOW_TRACKING_PASSWORD": config.tracking_password,
    }
