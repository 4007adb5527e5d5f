"""What to do about a model in service: nothing, retrain it, or release the champion; and why."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from monitoring.check import Check

TRIES = 3
"""So often the same is tried; then a person has to look at it."""


class _Known(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Champion(_Known):
    """The version that is to serve."""

    version: int
    trained_on: dict[str, str]
    """Data file → digest."""
    made_with: dict[str, str]
    """Digests of the code and the environment it was trained with."""
    released: bool
    """It served at some time."""
    failed_releases: int
    """In a row, up to now."""
    failure: str | None
    """Of the last of them."""
    outdated: list[str] = []
    """What of it is too old, in sentences."""


class Serving(_Known):
    """The version that serves."""

    version: int
    why: str | None
    by: str


class Attempt(_Known):
    """An earlier retraining of exactly what there is now: these data, this code, against this champion."""

    decision: int
    status: Literal["done", "failed", "abandoned"]
    reason: str
    """Why no better model came of it."""


class Checked(_Known):
    """The newest check of the version that serves."""

    id: int
    check: Check


class Evidence(_Known):
    """Everything that is known and decided upon; kept as it is in `decisions`."""

    use_case: str
    champion: Champion | None
    serving: Serving | None
    source: str
    window: int
    """So many of the newest files at the source are looked at."""
    files: dict[str, str]
    """Those files → digest, oldest first."""
    lie: dict[str, str]
    """The same digests by how the files lie on the disk, so that untouched ones are not read again."""
    made_with: dict[str, str]
    attempt: str
    """Names the retraining that could be made now; the same for the same data, code, options and champion."""
    earlier: list[Attempt]
    """Newest first."""
    check: Checked | None


class Decision(_Known):
    """What to do, and each reason in a sentence."""

    decision: Literal["nothing", "retrain", "release"]
    reasons: list[str]


def decide(evidence: Evidence) -> Decision:
    """What the evidence asks for."""
    champion = evidence.champion
    if champion is not None and not champion.released:
        return _release(champion, evidence.serving)
    said = [*_service(evidence), _check(evidence)]
    wanted = _wanted(evidence)
    if not wanted:
        old = champion.outdated if champion else []
        return Decision(decision="nothing", reasons=[*said, _learnt(evidence), *old])
    in_vain = _in_vain(evidence)
    if in_vain is not None:
        return Decision(decision="nothing", reasons=[*wanted, in_vain])
    return Decision(decision="retrain", reasons=wanted)


def _release(champion: Champion, serving: Serving | None) -> Decision:
    now = "nothing serves" if serving is None else f"version {serving.version} serves"
    why = f"Version {champion.version} is champion and was never released; {now}."
    if champion.failed_releases < TRIES:
        return Decision(decision="release", reasons=[why])
    failed = (
        f"Its release failed {champion.failed_releases} times, at last since {champion.failure}. "
        f"See to that, then release it by hand."
    )
    return Decision(decision="nothing", reasons=[why, failed])


def _wanted(evidence: Evidence) -> list[str]:
    """What speaks for a retraining."""
    champion, count = evidence.champion, len(evidence.files)
    there = f"{_files(count)} at {evidence.source}"
    if champion is None:
        return [f"There is no champion yet, and {there} to learn from."]
    wanted = []
    known = set(champion.trained_on.values())
    fresh = [name for name, digest in evidence.files.items() if digest not in known]
    if fresh:
        changed = [name for name in fresh if name in champion.trained_on]
        words = [f"{name} (changed)" if name in changed else name for name in fresh]
        wanted.append(
            f"Of {there}, version {champion.version} has not learnt from {len(fresh)}: {', '.join(words)}."
        )
    if evidence.check is not None and evidence.check.check.asks_for_retraining and not _same(evidence):
        wanted.append(_check(evidence))
    return wanted


def _in_vain(evidence: Evidence) -> str | None:
    """Why it is of no use to train what was tried before."""
    lost = next((attempt for attempt in evidence.earlier if attempt.status == "done"), None)
    if lost is not None:
        return (
            f"The same data and code were trained before (decision {lost.decision}), and the champion was "
            f"not beaten: {lost.reason}. It is not tried again until data or code change."
        )
    if len(evidence.earlier) >= TRIES:
        last = evidence.earlier[0]
        return (
            f"The same data and code were tried {len(evidence.earlier)} times and came to no end, at last in "
            f"decision {last.decision}: {last.reason}. See to that; then data or code change, or a person "
            "asks for it without --if-needed."
        )
    return None


def _service(evidence: Evidence) -> list[str]:
    champion, serving = evidence.champion, evidence.serving
    if champion is None or (serving is not None and serving.version == champion.version):
        return []
    if serving is None:
        return [f"Nothing serves; version {champion.version}, the champion, did and was stopped."]
    why = f" ({serving.why})" if serving.why else ""
    return [
        f"Version {champion.version} is champion, and {serving.by} put version {serving.version} in its "
        f"place{why}; so it stays."
    ]


def _check(evidence: Evidence) -> str:
    if evidence.check is None:
        return "What serves was not checked yet." if evidence.serving else "Nothing was checked."
    check = evidence.check.check
    about = (
        f"Check {evidence.check.id} of version {check.model_version}, of {check.rows:,} predictions and "
        f"{check.outcomes:,} outcomes until {check.until:%Y-%m-%d %H:%M} UTC"
    )
    if check.asks_for_retraining:
        found = " ".join(finding.sentence for finding in check.findings if finding.retrain)
        return f"{about}, asks for a new model: {found}"
    found = " ".join(finding.sentence for finding in check.findings)
    return f"{about}, asks for no new model{f': {found}' if found else '.'}"


def _learnt(evidence: Evidence) -> str:
    assert evidence.champion is not None
    version, there = evidence.champion.version, f"{_files(len(evidence.files))} at {evidence.source}"
    if evidence.check is not None and evidence.check.check.asks_for_retraining:
        return (
            f"But version {version} is what a training on {there} gives, with the code as it is. "
            "A new model takes new data: put them there."
        )
    return f"Version {version} has learnt from the {there}."


def _same(evidence: Evidence) -> bool:
    """Whether the champion is what a training would give."""
    champion = evidence.champion
    return (
        champion is not None
        and set(champion.trained_on.values()) == set(evidence.files.values())
        and champion.made_with == evidence.made_with
    )


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
