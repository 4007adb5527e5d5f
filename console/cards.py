"""`card`: what a training wrote down of a model version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.progress import Progress
    from settings import Settings


def card(settings: Settings, stack: str, progress: Progress, use_case: str, version: str) -> dict[str, Any]:
    """The card of a version, by number or alias.

    Raises:
        UsageError: there is no such use case.
        TrackingError: there is no such version, or it has no card.
    """
    import usecases
    from console.session import open_session

    usecases.load(use_case)
    open_session(settings, stack, progress)
    from tracking import registry
    from training.card import FILE

    found = registry.find(use_case, version)
    return {"use_case": use_case, "version": found.number, "card": registry.attached(found, FILE)}
