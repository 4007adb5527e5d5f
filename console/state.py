"""`status` and `down`: what runs here, without starting anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.progress import Progress
    from db.checks import RecordedCheck
    from db.databases import Databases
    from db.models import Release
    from settings import Settings

Document = dict[str, Any]


def status(settings: Settings) -> Document:
    """PostgreSQL, the platform's services, and for each use case its champion and its endpoint.

    Raises:
        DatabaseError: PostgreSQL runs and cannot be used.
    """
    from console import platform

    databases = running(settings)
    services = platform.services(settings)
    if databases is None:
        return {"home": str(settings.home), "postgresql": None, "services": services, "use_cases": []}
    return {
        "home": str(settings.home),
        "postgresql": _server(databases),
        "services": services,
        "use_cases": _use_cases(settings),
    }


def down(settings: Settings, progress: Progress) -> Document:
    """Stop both pages, the endpoints and the embedded PostgreSQL, in this order; everything stored stays."""
    from db import embedded
    from stacks.platform import supervisor

    pages = False
    if supervisor.is_running(settings.home):
        with progress.stage("pages"):
            pages = supervisor.stop(settings.home)
    databases = running(settings)
    stopped: list[str] = []
    if databases is not None:
        from db.migrate import upgrade
        from releases import release

        upgrade(databases.modelyard)
        with progress.stage("endpoints"):
            stopped = release.halt(settings, databases.modelyard)
    server = False
    if settings.database_url is None:
        with progress.stage("PostgreSQL"):
            server = embedded.stop(settings.home)
    return {
        "pages": pages,
        "endpoints": stopped,
        "postgresql": server,
        "embedded": settings.database_url is None,
    }


def running(settings: Settings) -> Databases | None:
    """The databases, or None while the embedded PostgreSQL does not run."""
    from db import databases, embedded

    if settings.database_url is None and embedded.status(settings.home) is None:
        return None
    return databases.prepare(settings)


def _server(databases: Databases) -> Document:
    return {"server": databases.server, "embedded": databases.embedded}


def _use_cases(settings: Settings) -> list[Document]:
    import usecases
    from db import checks
    from db import releases as record
    from db.migrate import upgrade
    from releases.local import TARGET
    from stacks import session

    now = datetime.now(UTC)
    databases = session.connect(settings)
    upgrade(databases.modelyard)
    session.open_tracking(databases)
    serving = {found.use_case: found for found in record.all_serving(databases.modelyard, TARGET)}
    checked = {found.use_case: found for found in checks.of_each(databases.modelyard)}
    return [
        champion(name, now)
        | {
            "endpoint": _endpoint(settings, serving[name]) if name in serving else None,
            "check": check(checked[name]) if name in checked else None,
        }
        for name in usecases.names()
    ]


def champion(use_case: str, now: datetime) -> Document:
    """The champion of a use case in the registry that is open, and why it is outdated."""
    import usecases
    from monitoring.freshness import outdated
    from tracking import registry

    found = registry.champion(use_case)
    return {
        "use_case": use_case,
        "champion": found.number if found else None,
        "score": float(found.tags["score"]) if found else None,
        "outdated": outdated(usecases.load(use_case), found.tags, now) if found else [],
    }


def check(found: RecordedCheck) -> Document:
    """What a line has of a check."""
    return {
        "id": found.id,
        "model_version": found.model_version,
        "verdict": found.verdict,
        "until": found.until.isoformat(timespec="seconds"),
    }


def _endpoint(settings: Settings, serving: Release) -> Document:
    from releases import release

    return {
        "address": serving.address,
        "model_version": serving.model_version,
        "bento": serving.bento,
        "ready": release.is_ready(serving),
        "pid": serving.pid,
        "since": serving.verified_at.isoformat(timespec="seconds") if serving.verified_at else None,
        "log": str(release.log_file(settings, serving.use_case, serving.id)),
    }
