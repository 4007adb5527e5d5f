"""The login of both pages, ZenML's and MLflow's: made once, kept in a file that its owner alone can read."""

from __future__ import annotations

import json
import secrets
import warnings
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from stacks import private

USER = "default"
"""ZenML's name of its first user, and MLflow's administrator here, too."""
_SECRET = "modelyard-login"  # noqa: S105 - the name of a secret, not the secret


class Credentials(BaseModel):
    """User name and password of both pages, and the keys that their sessions are signed with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    password: SecretStr
    signing_key: SecretStr


def path(home: Path) -> Path:
    """Where they are kept."""
    return home / "platform" / "login.json"


def ensure(home: Path) -> tuple[Credentials, bool]:
    """The credentials of `home`, made when there are none; whether they were made just now."""
    content, made = private.keep(path(home), _new)
    return Credentials.model_validate_json(content), made


def _new() -> str:
    content = {
        "username": USER,
        "password": secrets.token_urlsafe(18),
        "signing_key": secrets.token_hex(32),
    }
    return json.dumps(content, indent=2)


def teach_zenml(credentials: Credentials) -> None:
    """Make ZenML's store, open in this process, take the login, ask no questions and tell nobody of it."""
    from zenml.client import Client
    from zenml.models import UserUpdate

    client = Client()
    password = credentials.password.get_secret_value()
    client.zen_store.update_user(
        client.active_user.id,
        UserUpdate(
            password=password,
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
    """Make MLflow's accounts, in the database at this URL, take the login."""
    with warnings.catch_warnings():
        # Of what MLflow's server is built on: nothing that a user could mend.
        warnings.simplefilter("ignore")
        from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store: Any = SqlAlchemyStore()
    store.init_db(database)
    password = credentials.password.get_secret_value()
    if not store.has_user(credentials.username):
        store.create_user(credentials.username, password, is_admin=True)
    elif not store.authenticate_user(credentials.username, password):
        store.update_user(credentials.username, password, is_admin=True)
