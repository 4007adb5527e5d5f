"""What an endpoint on this machine finds around it: its keys, its state, the database that takes its log."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import make_url

from db import roles
from db.session import advisory_lock
from errors import DatabaseError

if TYPE_CHECKING:
    from settings import Settings


def surroundings(settings: Settings, url: str, use_case: str) -> dict[str, str]:
    """Environment variables for an endpoint of `use_case` that logs to the database at `url`."""
    folder = settings.home / "endpoints"
    state = folder / use_case
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "MODELYARD_ENDPOINT_STATE": str(state),
        "MODELYARD_ENDPOINT_KEYS": str(folder / f"{use_case}.keys"),
        "MODELYARD_ENDPOINT_DATABASE": str(_login(folder / "database.url", url)),
    }


def _login(file: Path, url: str) -> Path:
    """The file with the URL by which endpoints log: of a role that can do no more, if one can be made."""
    with advisory_lock(url, "login of endpoints", wait=True):
        password = _password(file) or secrets.token_urlsafe(32)
        try:
            roles.make(url, roles.ENDPOINT, password)
            login = make_url(url).set(username=roles.ENDPOINT.name, password=password)
        except DatabaseError:  # whoever may not make roles logs as they are
            login = make_url(url).set(password=os.environ.get("PGPASSWORD"))
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as text:
            text.write(login.set(drivername="postgresql").render_as_string(hide_password=False))
        draft.replace(file)
    return file


def _password(file: Path) -> str | None:
    """The one that running endpoints log in with, which must go on to hold."""
    try:
        known = urlsplit(file.read_text())
    except FileNotFoundError:
        return None
    return unquote(known.password or "") if known.username == roles.ENDPOINT.name else None
