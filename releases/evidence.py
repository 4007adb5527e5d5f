"""What exactly is released: written down when a release begins, and looked at again when it is verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracking import registry

if TYPE_CHECKING:
    from pathlib import Path

    from db.recorded import Approval
    from tracking.registry import Version


@dataclass(frozen=True)
class Found:
    """What the registry has of a version now."""

    made_of: Mapping[str, Any]
    judgements: Sequence[Mapping[str, Any]]


def look(version: Version) -> Found:
    """Read all of it.

    Raises:
        TrackingError: the version's files are gone or damaged.
    """
    provenance = registry.provenance(version)
    fingerprint = provenance["plan"]["fingerprint"]
    made_of = {
        "model": registry.digest(version),
        "candidate": provenance["candidate"],
        **{name: fingerprint[name] for name in ("data", "code", "commit", "lock")},
    }
    return Found(made_of, registry.judgements(version))


def evidence(version: Version, approvals: Sequence[Approval], bento: Path | None = None) -> dict[str, Any]:
    """All that can be looked at again later, as JSON values; of the Bento in that folder as well.

    Raises:
        TrackingError: the version's files are gone or damaged.
    """
    found = look(version)
    return {
        **found.made_of,
        "judgement": found.judgements[-1] if found.judgements else None,
        "approved_by": approvals[0].approved_by if approvals else None,
        "bento": registry.digest_of(bento) if bento else None,
    }


def differences(recorded: Mapping[str, Any], now: Found) -> list[str]:
    """What is not in the registry as it was when it was released, a line each."""
    found = [
        f"{name}: {_short(recorded.get(name))} was released, the registry has {_short(value)}"
        for name, value in now.made_of.items()
        if recorded.get(name) != value
    ]
    judgement = recorded.get("judgement")
    if judgement is not None and judgement not in now.judgements:
        found.append("judgement: what the gates said when it was released is no longer in the registry")
    return found


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in sorted(value.items()))
    return "nothing" if value is None else str(value)[:19]
