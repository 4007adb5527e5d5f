"""Put a packaged model version behind its endpoint: start, verify, switch, record; or leave all as it was."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from db import releases as record
from db.session import advisory_lock
from releases import local
from releases.local import TARGET, Process
from releases.outcome import Outcome
from releases.surroundings import surroundings
from releases.verify import verify
from serving import client

if TYPE_CHECKING:
    import socket

    from db.models import Release
    from serving.package import ModelPackage, Packed
    from settings import Settings

PORTS = 100
"""How many ports from the first one up are tried."""


def release(
    settings: Settings,
    url: str,
    package: ModelPackage,
    packed: Packed,
    zenml_run: str | None = None,
    why: str | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Outcome:
    """Serve `packed` at its use case's address, in place of what is served there now.

    `why` and `evidence`, what exactly it is, are on record.

    Nothing is started when the same Bento serves already. Killed at any point, it leaves the release of
    before serving, and the next release clears away what it left.

    Raises:
        ReleaseError: the endpoint didn't start or its answers were wrong; what served before still serves.
        DatabaseError: another release of this use case is under way.
    """
    name = package.use_case
    with advisory_lock(url, f"release {name} {TARGET}"):
        _clear_away(url, name)
        before = record.serving(url, name, TARGET)
        if before is not None and not local.is_running(_process(before)):
            record.stop(url, before.id, "its process was gone")
            before = None
        if before is not None and before.bento == packed.tag and is_ready(before):
            return _outcome(before, changed=False, verified=0, before=before.model_version)
        number = record.begin(
            url,
            use_case=name,
            model_version=package.model_version,
            bento=packed.tag,
            target=TARGET,
            released_by=record.person(),
            zenml_run=zenml_run,
            why=why,
            evidence=evidence,
        )
        try:
            verified = _roll_out(settings, url, number, package, packed, before)
        except BaseException as error:
            record.fail(url, number, str(error) or type(error).__name__)
            raise
        if before is not None:
            _stop(settings, before)
            record.ended(url, before.id)
        serving = record.serving(url, name, TARGET)
        assert serving is not None
        return _outcome(
            serving, changed=True, verified=verified, before=before.model_version if before else None
        )


def halt(settings: Settings, url: str) -> list[str]:
    """End every endpoint's process and leave on record that it is to serve; returns the use cases.

    `revive` brings them back.
    """
    halted = []
    for serving in record.all_serving(url, TARGET):
        with advisory_lock(url, f"release {serving.use_case} {TARGET}", wait=True):
            if _stop(settings, serving):
                halted.append(serving.use_case)
            _clear_away(url, serving.use_case)
    return halted


def revive(settings: Settings, url: str, serving: Release) -> bool:
    """Start the Bento of a release again whose process is gone, at its own address; whether it was so.

    Its answers were verified when it was released, and a Bento does not change.

    Raises:
        ReleaseError: it doesn't start, or its port is somebody else's now.
        DatabaseError: a release of the use case is under way.
    """
    name = serving.use_case
    with advisory_lock(url, f"release {name} {TARGET}"):
        now = record.serving(url, name, TARGET)
        if now is None or now.id != serving.id or is_running(now):
            return False
        assert now.address is not None
        bento = settings.home / "bentoml" / "bentos" / now.bento.replace(":", "/")
        address = urlsplit(now.address)
        log = log_file(settings, name, now.id)
        with local.start(bento, _door(settings, now.id), log, surroundings(settings, url, name)) as candidate:
            record.note_process(url, now.id, candidate.process.pid, candidate.process.started)
            candidate.wait_until_ready()
            with closing(local.public_socket(address.hostname or "", [address.port or 0])) as public:
                candidate.go_public(public)
    return True


def log_file(settings: Settings, use_case: str, number: int) -> Path:
    """Where the endpoint of a release writes what it has to say."""
    return settings.home / "logs" / f"{use_case}-{number}.log"


def is_running(serving: Release) -> bool:
    """Whether the process of a release runs."""
    return local.is_running(_process(serving))


def is_ready(serving: Release) -> bool:
    """Whether the endpoint of a release answers."""
    if serving.address is None or not is_running(serving):
        return False
    with client.connect(serving.address) as endpoint:
        return endpoint.is_ready()


def _roll_out(
    settings: Settings,
    url: str,
    number: int,
    package: ModelPackage,
    packed: Packed,
    before: Release | None,
) -> int:
    log = log_file(settings, package.use_case, number)
    around = surroundings(settings, url, package.use_case)
    with local.start(packed.path, _door(settings, number), log, around) as candidate:
        record.note_process(url, number, candidate.process.pid, candidate.process.started)
        candidate.wait_until_ready()
        verified = verify(candidate.address, package, candidate.key)
        with closing(_public(settings, url, package.use_case, before)) as public:
            host = settings.endpoint_host
            address = f"http://{f'[{host}]' if ':' in host else host}:{public.getsockname()[1]}"
            candidate.go_public(public)
            record.serve(url, number, address)
    return verified


def _public(settings: Settings, url: str, use_case: str, before: Release | None) -> socket.socket:
    """The use case's listening socket: handed on by who serves now, else at its last address."""
    if before is not None:
        return local.borrow(_door(settings, before.id))
    first = settings.endpoint_port
    ports = list(range(first, min(first + PORTS, 65536)))
    last = record.last_address(url, use_case, TARGET)
    port = urlsplit(last).port if last else None
    return local.public_socket(settings.endpoint_host, [port, *ports] if port in ports else ports)


def _clear_away(url: str, use_case: str) -> None:
    """End what interrupted releases left running."""
    for left in record.unfinished(url, use_case, TARGET):
        if left.pid is not None:
            local.stop(_process(left))
        if left.status == "rolling_out":
            record.fail(url, left.id, "the command was interrupted")
        else:
            record.ended(url, left.id)


def _stop(settings: Settings, serving: Release) -> bool:
    """End the process of a release; whether it ran."""
    ran = local.stop(_process(serving))
    _door(settings, serving.id).unlink(missing_ok=True)
    return ran


def _process(release: Release) -> Process:
    return Process(release.pid or 0, release.pid_started or 0.0)


def _door(settings: Settings, number: int) -> Path:
    return settings.home / "endpoints" / f"{number}.socket"


def _outcome(serving: Release, *, changed: bool, verified: int, before: int | None) -> Outcome:
    return Outcome(
        release=serving.id,
        model_version=serving.model_version,
        bento=serving.bento,
        address=serving.address or "",
        changed=changed,
        verified=verified,
        before=before,
    )
