"""The table of releases: what was put behind an endpoint, when, by whom, why, and what came of it.

rolling_out → [canary →] serving → superseded | stopped
            → failed
               canary → withdrawn

A row keeps `ended_at` empty for as long as its process may run.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import case, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import events
from db.models import Release
from db.recorded import Recorded
from db.session import engine
from errors import ReleaseError

_BEFORE = {
    # A canary or one that serves may be moved: noted again at another address.
    "canary": ("rolling_out", "canary"),
    "serving": ("rolling_out", "canary", "serving"),
    "failed": ("rolling_out", "canary", "serving"),
    "withdrawn": ("canary",),
    "stopped": ("serving",),
}
"""Status → those that it may follow."""

ROLLBACK = "rollback"
"""Why a release was made that takes one back."""


class Unknown(ReleaseError):
    """There is no release of that number."""


class Conflict(ReleaseError):
    """As it is on record, a release cannot become what was asked for."""


@contextmanager
def _session(url: str) -> Iterator[Session]:
    """One transaction; rows stay readable after it."""
    with Session(engine(url), expire_on_commit=False) as session, session.begin():
        yield session


def person() -> str:
    """Whoever runs this process, as user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def begin(
    url: str,
    *,
    use_case: str,
    model_version: int,
    bento: str,
    target: str,
    released_by: str,
    zenml_run: str | None = None,
    image: str | None = None,
    why: str | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> int:
    """Note that a release has begun; returns its id."""
    release = Release(
        use_case=use_case,
        model_version=model_version,
        bento=bento,
        target=target,
        status="rolling_out",
        released_by=released_by,
        zenml_run=zenml_run,
        image=image,
        why=why,
        evidence=None if evidence is None else dict(evidence),
    )
    with _session(url) as session:
        session.add(release)
    return release.id


def note_process(url: str, release: int, pid: int, started: float) -> None:
    """Note which process of this machine a release has started, and when, in seconds since 1970."""
    _update(url, release, pid=pid, pid_started=started)


def canary(url: str, release: int, address: str, reason: str | None = None) -> None:
    """The release takes a share from now on, beside the one that serves.

    Raises:
        Unknown: there is no such release.
        Conflict: it has ended or serves, or another is the canary.
    """
    with _becoming(url, release, "canary") as (_, found):
        found.address, found.reason = address, reason
        found.verified_at = found.verified_at or func.now()


def serve(url: str, release: int, address: str) -> None:
    """The release serves from now on, and whichever served before is superseded: both or neither.

    Raises:
        Unknown: there is no such release.
        Conflict: it has ended, or another was made to serve at the same moment.
    """
    with _becoming(url, release, "serving") as (session, new):
        superseded = update(Release).where(
            Release.use_case == new.use_case,
            Release.target == new.target,
            Release.status == "serving",
            Release.id != release,
        )
        # A process of this machine is still to be ended, and noted by `ended` then.
        over = case((Release.pid.is_(None), func.now()))
        superseded = superseded.values(status="superseded", reason=f"release {release}", ended_at=over)
        before = session.execute(superseded.returning(Release.model_version)).scalar_one_or_none()
        if new.status != "serving":  # or else it has moved
            _tell(
                session,
                new,
                "rollback" if new.why == ROLLBACK else "release",
                address,
                before,
                new.why,
                new.model_version,
            )
        new.address, new.reason = address, None
        new.verified_at = new.verified_at or func.now()


def fail(url: str, release: int, reason: str) -> None:
    """The release was given up, its process is gone.

    Raises:
        Unknown: there is no such release.
        Conflict: it has ended.
    """
    _end(url, release, "failed", reason)


def withdraw(url: str, release: int, reason: str) -> None:
    """The canary was taken back.

    Raises:
        Unknown: there is no such release.
        Conflict: it is no canary.
    """
    with _becoming(url, release, "withdrawn") as (session, found):
        found.reason, found.ended_at = reason, func.now()
        serves = select(Release.model_version, Release.address).where(
            Release.use_case == found.use_case, Release.target == found.target, Release.status == "serving"
        )
        version, address = session.execute(serves).one_or_none() or (None, None)
        _tell(session, found, "rollback", address, found.model_version, reason, version)


def stop(url: str, release: int, reason: str) -> None:
    """The release no longer serves, its process is gone.

    Raises:
        Unknown: there is no such release.
        Conflict: it doesn't serve.
    """
    _end(url, release, "stopped", reason)


def ended(url: str, release: int) -> None:
    """The process of a superseded release is gone."""
    _update(url, release, ended_at=func.now())


def forget_processes(url: str) -> None:
    """No release has a process: the records are of another machine, or of another time."""
    with _session(url) as session:
        session.execute(update(Release).values(pid=None, pid_started=None))


def history(
    url: str, *, use_case: str | None = None, target: str | None = None, limit: int = 100
) -> list[Recorded]:
    """The newest releases first: all of them, or those of a use case or a target."""
    query = select(Release).order_by(Release.id.desc()).limit(limit)
    if use_case is not None:
        query = query.where(Release.use_case == use_case)
    if target is not None:
        query = query.where(Release.target == target)
    with _session(url) as session:
        return [Recorded.model_validate(release) for release in session.scalars(query)]


def serving(url: str, use_case: str, target: str) -> Release | None:
    """The release that serves `use_case`, or None."""
    found = [release for release in all_serving(url, target) if release.use_case == use_case]
    return found[0] if found else None


def all_serving(url: str, target: str) -> Sequence[Release]:
    """Every release that serves, one a use case."""
    query = select(Release).where(Release.target == target, Release.status == "serving")
    with _session(url) as session:
        return session.scalars(query.order_by(Release.use_case)).all()


def unfinished(url: str, use_case: str, target: str) -> Sequence[Release]:
    """Releases that were interrupted: their process may still run although they don't serve."""
    query = select(Release).where(
        Release.use_case == use_case,
        Release.target == target,
        Release.status.not_in(("serving", "canary")),
        Release.ended_at.is_(None),
    )
    with _session(url) as session:
        return session.scalars(query.order_by(Release.id)).all()


def last_address(url: str, use_case: str, target: str) -> str | None:
    """Where the use case was served last."""
    query = select(Release.address).where(
        Release.use_case == use_case, Release.target == target, Release.address.is_not(None)
    )
    with _session(url) as session:
        return session.scalars(query.order_by(Release.id.desc()).limit(1)).one_or_none()


def _tell(
    session: Session,
    release: Release,
    what: Literal["release", "rollback"],
    address: str | None,
    before: int | None,
    why: str | None,
    serves: int | None,
) -> None:
    """Note for other systems that another version serves, or that a canary was withdrawn."""
    events.note(
        session,
        f"modelyard.{what}",  # type: ignore[arg-type]
        of=f"release {release.id}",
        moment=release.created_at,
        source=f"/modelyard/releases/{release.target}",
        subject=release.use_case,
        data={
            "use_case": release.use_case,
            "model_version": serves,
            "before": before,
            "why": why,
            "target": release.target,
            "address": address,
            "release": release.id,
            "bento": release.bento,
            "image": release.image,
            "released_by": release.released_by,
            "zenml_run": release.zenml_run,
        },
    )


def _update(url: str, release: int, **values: object) -> None:
    with _session(url) as session:
        session.execute(update(Release).where(Release.id == release).values(**values))


def _end(url: str, release: int, status: str, reason: str) -> None:
    with _becoming(url, release, status) as (_, found):
        found.reason, found.ended_at = reason, func.now()


@contextmanager
def _becoming(url: str, release: int, status: str) -> Iterator[tuple[Session, Release]]:
    """The release, which has `status` once the block is done: in one transaction with what the block does."""
    try:
        with _session(url) as session:
            found = session.get(Release, release, with_for_update=True)
            if found is None:
                raise Unknown(f"There is no release {release} on record.")
            words = f"Release {release} of {found.use_case} on {found.target}"
            if found.status not in _BEFORE[status]:
                raise Conflict(
                    f"{words} is {_plain(found.status)}; only one that is "
                    f"{' or '.join(_plain(before) for before in _BEFORE[status])} can become {status}."
                )
            yield session, found
            found.status = status
    except IntegrityError as error:
        # One serves and one is the canary: PostgreSQL refuses a second.
        raise Conflict(
            f"{words} cannot become {status}: another release is that now. "
            "Ask for the history, then withdraw the other one, or try again."
        ) from error


def _plain(status: str) -> str:
    return status.replace("_", " ")
