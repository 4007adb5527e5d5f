"""The login of both pages, ZenML's and MLflow's: given by the settings, or made once and kept in a file.

Only its owner can read that file.
"""

from __future__ import annotations

import json
import secrets
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, SecretStr

from stacks import private

if TYPE_CHECKING:
    from settings import Settings

USER = "default"
"""ZenML's name of its first user, and MLflow's administrator here, too."""
_SECRET = "modelyard-login"  # noqa: S105 - the name of a secret, not the secret
_LOCK = "login"


class Credentials(BaseModel):
    """User name and password of both pages, and the keys that their sessions are signed with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    password: SecretStr
    signing_key: SecretStr


def path(home: Path) -> Path:
    """Where those are kept that the settings do not give."""
    return home / "platform" / "login.json"


def ensure(settings: Settings) -> tuple[Credentials, bool]:
    """The credentials, made where there are none; whether the password was made just now."""
    password, signing_key = settings.password, settings.signing_key
    if password and signing_key:
        return Credentials(username=USER, password=password, signing_key=signing_key), False
    content, made = private.keep(path(settings.home), _new)
    kept = Credentials.model_validate_json(content)
    credentials = Credentials(
        username=kept.username,
        password=password or kept.password,
        signing_key=signing_key or kept.signing_key,
    )
    return credentials, made and not password


def _new() -> str:
    content = {
        "username": USER,
        "password": secrets.token_urlsafe(18),
        "signing_key": secrets.token_hex(32),
    }
    return json.dumps(content, indent=2)


def teach_zenml(credentials: Credentials, database: str) -> None:
    """Make ZenML's store, open in this process, take the login, ask no questions and tell nobody of it.

    One process at a time does so, by a lock of `database`, which is the store's.
    """
    from db.session import advisory_lock

    with advisory_lock(database, _LOCK, wait=True):
        _teach_zenml(credentials)


def _teach_zenml(credentials: Credentials) -> None:
    from zenml.client import Client
    from zenml.models import UserAuthModel, UserUpdate

    client = Client()
    store: Any = client.zen_store
    password = credentials.password.get_secret_value()
    known = UserAuthModel.verify_password(password, store.get_auth_user(client.active_user.id))
    store.update_user(
        client.active_user.id,
        UserUpdate(
            # Set again, even the same one ends all sessions, also those of pipelines that are running.
            **({} if known else {"password": password}),
            active=True,
            email_opted_in=False,
            # Without them the dashboard begins with a survey.
            full_name=credentials.username,
            user_metadata={"awareness_channels": ["other"], "primary_use": "other", "usage_reason": "other"},
        ),
    )
    client.update_server_settings(
        updated_name="Modelyard",
        updated_enable_analytics=False,
        updated_enable_announcements=False,
        updated_enable_updates=False,
    )
    values = {"username": credentials.username, "password": password}
    if client.list_secrets(name=_SECRET).total:
        client.update_secret(_SECRET, add_or_update_values=values)
    else:
        client.create_secret(_SECRET, values)


def forget_zenml() -> None:
    """Take the login out of the secrets of ZenML's store, open in this process; `up` puts it back."""
    from zenml.client import Client

    client = Client()
    if client.list_secrets(name=_SECRET).total:
        client.delete_secret(_SECRET)


def teach_mlflow(credentials: Credentials, database: str) -> None:
    """Make MLflow's accounts, in the database at this URL, take the login; their tables are made for that."""
    from db.session import advisory_lock

    with warnings.catch_warnings():
        # Of what MLflow's server is built on: nothing that a user could mend.
        warnings.simplefilter("ignore")
        from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store: Any = SqlAlchemyStore()
    password = credentials.password.get_secret_value()
    with advisory_lock(database, _LOCK, wait=True):
        store.init_db(database)
        if not store.has_user(credentials.username):
            store.create_user(credentials.username, password, is_admin=True)
        elif not store.authenticate_user(credentials.username, password):
            store.update_user(credentials.username, password, is_admin=True)
