"""Whether a version may be released where only approved ones may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from errors import GateNotPassed
from tracking import registry

if TYPE_CHECKING:
    from db.recorded import Approval, Recorded
    from tracking.registry import Version


def require(version: Version, approvals: Sequence[Approval], known: Sequence[Recorded]) -> None:
    """Return when the version was approved as it is now, or has served already.

    What has served may always be gone back to.

    Args:
        approvals: those of the version.
        known: releases to the target.

    Raises:
        GateNotPassed: it was not approved, or its files are others than those that were.
    """
    if any(
        one.model_version == version.number
        and one.verified_at
        and one.status in ("serving", "superseded", "stopped")
        for one in known
    ):
        return
    name, number = version.name, version.number
    how = f"Whoever may decide that looks at its card, `python run.py card {name} {number}`, and then: "
    how += f"python run.py approve {name} {number}"
    if not approvals:
        raise GateNotPassed(f"Version {number} of {name} was not approved, and is not released. {how}")
    if registry.digest(version) not in {approval.model for approval in approvals}:
        raise GateNotPassed(
            f"The files of version {number} of {name} are not those that {approvals[0].approved_by} approved "
            f"on {approvals[0].at:%Y-%m-%d}; it is not released. Find out who changed them. {how}"
        )
