"""What a rollback goes back to, by the record of releases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from errors import UsageError

if TYPE_CHECKING:
    from db.recorded import Recorded


def serving(known: Sequence[Recorded]) -> Recorded | None:
    """The release that serves."""
    return next((one for one in known if one.status == "serving"), None)


def earlier(known: Sequence[Recorded], version: int | None) -> Recorded:
    """The newest release that served and is not what serves now; of `version`, where one is given.

    Args:
        known: releases of one use case and target, the newest first.

    Raises:
        UsageError: there is none.
    """
    now = serving(known)
    served = [one for one in known if one.status in ("superseded", "stopped") and one.verified_at]
    other = [one for one in served if now is None or _content(one) != _content(now)]
    fitting = [one for one in other if version is None or one.model_version == version]
    if fitting:
        return fitting[0]
    there = ", ".join(str(number) for number in sorted({one.model_version for one in other})) or "none"
    asked = "an earlier version" if version is None else f"version {version}"
    raise UsageError(f"There is no release of {asked} to go back to; versions that served before: {there}.")


def _content(release: Recorded) -> str:
    return release.image or release.bento
