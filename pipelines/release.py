"""Release: package → roll out (start, verify, switch, record), on this machine.

On a cluster: publish (package, push an image) → deploy (start, verify, roll out, record).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipelines.run import Run, run
from stacks.apply import in_cluster

if TYPE_CHECKING:
    from releases.kubernetes.release import Canary
    from releases.outcome import Outcome
    from tracking.registry import Version


@dataclass(frozen=True)
class Released:
    """What a release did."""

    run: Run
    outcome: Outcome


def release(
    use_case: str,
    version: str,
    *,
    why: str | None = None,
    canary: Canary | None = None,
    require_approval: bool = False,
) -> Released:
    """Put a model version, by number or alias, behind the use case's endpoint.

    With `require_approval`, or where the settings want it, it has to be approved or to have served before.

    Raises:
        TrackingError: there is no such version.
        GateNotPassed: it was not approved; nothing was started.
        ReleaseError: the release was given up; what served before still serves.
    """
    import settings
    from db.releases import person
    from tracking import registry

    found = registry.find(use_case, version)
    number = found.number
    require_approval = require_approval or settings.read().require_approval
    if require_approval:
        _require_approval(found)
    parameters: dict[str, Any] = {
        "use_case": use_case,
        "version": number,
        "why": why or (f"version {number} was asked for" if version.isdecimal() else version),
    }
    name = f"release_{use_case}"
    if not in_cluster():
        finished = run(name, releasing, parameters)
        return Released(run=finished, outcome=finished.output("roll_out", "outcome"))
    parameters |= {
        "by": person(),
        "canary": asdict(canary) if canary else None,
        "require_approval": require_approval,
    }
    finished = run(name, deploying, parameters)
    return Released(run=finished, outcome=finished.output("deploy", "outcome"))


def publish(use_case: str, version: str) -> tuple[Run, int]:
    """Push the image of a model version to a cluster's registry; returns the version's number, too.

    Raises:
        TrackingError: there is no such version.
        ReleaseError: the registry does not answer, or refuses.
    """
    from tracking import registry

    number = registry.find(use_case, version).number
    return run(f"publish_{use_case}", publishing, {"use_case": use_case, "version": number}), number


def releasing(use_case: str, version: int, why: str) -> None:
    """The steps of a release on this machine, in their order."""
    from steps.release import package, roll_out

    roll_out(use_case, version, package(use_case, version), why)


def deploying(
    use_case: str,
    version: int,
    why: str,
    by: str,
    canary: dict[str, float] | None,
    require_approval: bool = False,
) -> Any:
    """The steps of a release in a cluster, in their order; returns the artifact of its outcome."""
    from steps.release import deploy, publish

    image, bento = publish(use_case, version)
    return deploy(use_case, version, image, bento, why, by, canary, require_approval)


def publishing(use_case: str, version: int) -> None:
    """The first half of them."""
    from steps.release import publish

    publish(use_case, version)


def _require_approval(version: Version) -> None:
    from releases.approval import require
    from settings import Settings

    if in_cluster():
        from releases.kubernetes.place import place_of
        from releases.kubernetes.release import TARGET

        records = place_of(Settings()).records
        require(
            version, records.approvals(version.name, version.number), records.history(version.name, TARGET)
        )
    else:
        from db import approvals
        from db import releases as record
        from db.databases import prepare
        from db.migrate import upgrade
        from releases.local import TARGET

        url = prepare(Settings()).modelyard
        upgrade(url)
        approved = approvals.of(url, version.name, version.number)
        require(version, approved, record.history(url, use_case=version.name, target=TARGET))
