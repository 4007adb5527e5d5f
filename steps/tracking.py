"""MLflow for steps that run in pods and on this machine alike, and log no run."""

from __future__ import annotations


def open_tracking_in_cluster() -> None:
    """In a pod, point MLflow at the stack's: a step before may have left it without an address."""
    from stacks.apply import in_cluster

    if in_cluster():
        from stacks.kubernetes.tracking import open_tracking

        open_tracking()
