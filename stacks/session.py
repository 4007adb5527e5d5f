"""A command's connection to its stack: PostgreSQL up, ZenML's store on it, the stack applied and active."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from db.databases import Databases, prepare
from errors import StackError
from settings import PROJECT, Settings
from stacks import private, spec
from stacks.shortcuts import import_zenml


@dataclass(frozen=True)
class Session:
    """What a command works on."""

    settings: Settings
    databases: Databases
    stack: str
    changes: list[str]
    """What applying the stack changed, a line each."""


def connect(settings: Settings) -> Databases:
    """PostgreSQL running, the three databases there, and this process's ZenML and MLflow pointed at them.

    Passwords travel in the process's environment alone. ZenML's and MLflow's own settings of the user
    who runs this are neither read nor written.

    Raises:
        DatabaseError: PostgreSQL cannot be reached or used.
        StackError: the databases belong to another home folder.
    """
    databases = prepare(settings)
    home = settings.home
    key_file = home / "zenml" / "secrets.key"
    encryption_key, _ = private.keep(key_file, lambda: secrets.token_hex(32))
    _check_key(databases, encryption_key, key_file)
    os.environ |= {
        "ZENML_CONFIG_PATH": str(home / "zenml"),
        "ZENML_STORE_URL": databases.zenml,
        "ZENML_STORE_BACKUP_STRATEGY": "disabled",
        "ZENML_SECRETS_STORE_TYPE": "sql",
        "ZENML_SECRETS_STORE_ENCRYPTION_KEY": encryption_key,
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
        "ZENML_CUSTOM_SOURCE_ROOT": str(PROJECT),
        "ZENML_DISABLE_CLIENT_SERVER_MISMATCH_WARNING": "true",
        "AUTO_OPEN_DASHBOARD": "false",
        "MLFLOW_TRACKING_URI": databases.mlflow,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        # Where MLflow, used without a server in between, puts the artifacts of new experiments.
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(home / "artifacts" / "mlflow"),
    }
    return databases


def _check_key(databases: Databases, key: str, file: Path) -> None:
    """Refuse databases whose secrets are encrypted with another key, before anything of theirs is changed.

    What the key is, is noted with the database as a hash, from which nobody finds it: it has 256 random bits.
    """
    from db.session import advisory_lock, connect

    mine = f"secrets encrypted with key {hashlib.sha256(key.encode()).hexdigest()[:16]}"
    with connect(databases.zenml) as connection:
        if (noted := _comment(connection)) is None:
            with advisory_lock(databases.zenml, "key", wait=True):
                if (noted := _comment(connection)) is None:
                    connection.execute(text(f"COMMENT ON DATABASE zenml IS '{mine}'"))
                    return
    if noted != mine:
        raise StackError(
            f"The databases at {databases.server} belong to another home folder: ZenML's secrets in them are "
            f"encrypted with another key than the one in {file}. Copy that file from the other home to go on "
            "here with the same data, or name a server without these databases in MODELYARD_DATABASE_URL."
        )


def _comment(connection: Connection) -> str | None:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    comment: str | None = connection.execute(text(query)).scalar_one()
    return comment


def open_stack(settings: Settings, stack: str, *, tracking: bool = True) -> Session:
    """Connect, make sure of ZenML's tables, apply the stack file of that name and activate it here.

    Without `tracking` the stack has no experiment tracker, and MLflow, which takes a second, stays unread.

    Raises:
        DatabaseError: PostgreSQL cannot be reached or used.
        StackError, UsageError: the stack's file is wrong, or there is none.
    """
    path = spec.named(stack)
    databases = connect(settings)
    changes = apply_file(path, settings, databases, tracking=tracking)
    return Session(settings=settings, databases=databases, stack=stack, changes=changes)


def apply_file(path: Path, settings: Settings, databases: Databases, *, tracking: bool = True) -> list[str]:
    """Apply a stack file and make it this process's active stack; returns what changed, a line each."""
    wanted = spec.read(path, {"home": str(settings.home), "mlflow": databases.mlflow})
    open_store(databases)

    from stacks.apply import apply

    stack_id, changes = apply(wanted, without=() if tracking else ("experiment_tracker",))
    # By environment, not in ZenML's settings file: commands with different stacks run side by side.
    os.environ["ZENML_ACTIVE_STACK_ID"] = str(stack_id)
    return changes


def open_store(databases: Databases, *, shortcuts: bool = True) -> None:
    """ZenML on PostgreSQL, its tables made when missing, its messages on stderr from warnings up."""
    with warnings.catch_warnings():
        # Deprecations inside ZenML's own imports are not the user's to mend.
        warnings.simplefilter("ignore")
        if shortcuts:
            import_zenml()
        from stacks.postgresql import UntestedVersion, initialize, install

        try:
            install()
        except UntestedVersion as error:
            raise StackError(str(error)) from error
        quiet()
        initialize(databases.zenml)
        # What is at its newest revision need not be asked for it again when ZenML opens it.
        os.environ["DISABLE_DATABASE_MIGRATION"] = "true"


def settle_in() -> str:
    """Make a store that came from elsewhere usable by commands; returns the project that they work in.

    Commands are ZenML's user `default`, whom a server's store need not have. Of several projects ZenML takes
    none by itself: then it is `default`, else the oldest.
    """
    from zenml.client import Client
    from zenml.models import UserRequest, UserUpdate

    client = Client()
    if not client.list_users(name="default").total:
        client.zen_store.create_user(UserRequest(name="default", active=True, is_admin=True))
    projects = {project.name: project for project in client.list_projects(size=1000, sort_by="desc:created")}
    project = projects.get("default") or list(projects.values())[-1]
    user = client.zen_store.get_user()
    client.zen_store.update_user(user.id, UserUpdate(default_project_id=project.id))
    client.set_active_project(project.id)
    return str(project.name)


# What ZenML warns of although all is well, and why it is so.
_HARMLESS = (
    "Setting the global active stack",  # each command names its stack by environment
    "You are configuring a stack component that is using local",  # the store is PostgreSQL, no server
    "Failed to disable MLflow autologging",  # of frameworks that are not installed
)


def quiet() -> None:
    """ZenML prints its messages on stdout, which belongs to a command's result: warnings go to stderr.

    The traceback of a failed step is left out here, since the error itself comes up to the command.
    """
    from zenml.logger import ZenMLConsoleHandler

    root = logging.getLogger()
    ours = [handler for handler in root.handlers if isinstance(handler, ZenMLConsoleHandler)]
    for handler in ours:
        root.removeHandler(handler)
    if not ours:
        return
    console = logging.StreamHandler(sys.__stderr__)
    console.setLevel(logging.WARNING)
    console.addFilter(_worth_showing)
    root.addHandler(console)


def _worth_showing(record: logging.LogRecord) -> bool:
    if not record.name.startswith("zenml"):
        return True
    return not record.exc_info and not record.getMessage().startswith(_HARMLESS)


def open_tracking(databases: Databases) -> None:
    """MLflow's tables, made when missing by one process at a time: it does not guard that itself."""
    from db.session import advisory_lock

    with advisory_lock(databases.mlflow, "mlflow tables", wait=True):
        from mlflow import MlflowClient

        MlflowClient().get_experiment_by_name("Default")
