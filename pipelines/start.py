"""How a pipeline starts a step that others need not wait for."""

from __future__ import annotations

from typing import Any


def start(step: Any, *arguments: Any, **options: Any) -> Any:
    """Start a step; returns what its outputs will be, to be given to other steps or to `after=`.

    Where a pipeline's function runs while its steps do (a dynamic pipeline, as on Kubernetes), calling a step
    waits for its end; so it is submitted, and all that were started run side by side. Where the function only
    says which steps there are, calling is all it takes.
    """
    from zenml.execution.pipeline.dynamic.run_context import DynamicPipelineRunContext

    call = step.submit if DynamicPipelineRunContext.is_active() else step
    return call(*arguments, **options)
