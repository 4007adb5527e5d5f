"""The table of releases: what was put behind an endpoint, when, by whom, and what came of it.

rolling_out → serving → superseded | stopped
            → failed

A row keeps `ended_at` empty for as long as its process may run.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Update, func, select, update
from sqlalchemy.orm import Session

from db.models import Release
from db.session import engine
from releases.local import Process


@contextmanager
def _session(url: str) -> Iterator[Session]:
    """One transaction; rows stay readable after it."""
    with Session(engine(url), expire_on_commit=False) as session, session.begin():
        yield session


def begin(
    url: str, *, use_case: str, model_version: int, bento: str, target: str, zenml_run: str | None
) -> int:
    """Note that a release has begun; returns its id."""
    release = Release(
        use_case=use_case,
        model_version=model_version,
        bento=bento,
        target=target,
        status="rolling_out",
        released_by=f"{getpass.getuser()}@{socket.gethostname()}",
        zenml_run=zenml_run,
    )
    with _session(url) as session:
        session.add(release)
    return release.id


def note_process(url: str, release: int, process: Process) -> None:
    """Note which process a release has started."""
    _update(url, release, pid=process.pid, pid_started=process.started)


def serve(url: str, release: int, address: str) -> None:
    """The release serves from now on, and whichever served before is superseded: both or neither."""
    with _session(url) as session:
        new = session.get_one(Release, release)
        before = _serving(new.use_case, new.target).values(status="superseded", reason=f"release {release}")
        session.execute(before)
        session.flush()
        new.status, new.address, new.verified_at = "serving", address, func.now()


def fail(url: str, release: int, reason: str) -> None:
    """The release was given up, its process is gone."""
    _update(url, release, status="failed", reason=reason, ended_at=func.now())


def stopped(url: str, release: int, reason: str) -> None:
    """The release no longer serves, its process is gone."""
    _update(url, release, status="stopped", reason=reason, ended_at=func.now())


def ended(url: str, release: int) -> None:
    """The process of a superseded release is gone."""
    _update(url, release, ended_at=func.now())


def forget_processes(url: str) -> None:
    """No release has a process: the records are of another machine, or of another time."""
    with _session(url) as session:
        session.execute(update(Release).values(pid=None, pid_started=None))


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
        Release.status != "serving",
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


def _update(url: str, release: int, **values: object) -> None:
    with _session(url) as session:
        session.execute(update(Release).where(Release.id == release).values(**values))


def _serving(use_case: str, target: str) -> Update:
    return update(Release).where(
        Release.use_case == use_case, Release.target == target, Release.status == "serving"
    )
