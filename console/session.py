"""What every command does that works on a stack: open it, and say how long each stage took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.progress import Progress
    from settings import Settings
    from stacks.session import Session

Document = dict[str, Any]


def open_session(settings: Settings, stack: str, progress: Progress, *, tracking: bool = True) -> Session:
    """The stack of that name, applied and active here."""
    with progress.stage("PostgreSQL and stack"):
        from stacks import session

        opened = session.open_stack(settings, stack, tracking=tracking)
    if tracking and opened.databases is not None:
        with progress.stage("MLflow"):
            session.open_tracking(opened.databases)
    return opened


def stages(progress: Progress) -> list[Document]:
    """How long each stage took, and what lay between them, so that they add up."""
    times = [{"stage": time.name, "seconds": time.seconds, "cached": time.cached} for time in progress.times]
    between = progress.seconds() - sum(time.seconds for time in progress.times)
    name = "imports, between stages" if between >= 0 else "saved by running side by side"
    return [*times, {"stage": name, "seconds": round(between, 2), "cached": False}]
