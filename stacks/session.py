"""A command's connection to its stack: PostgreSQL up, ZenML's store on it, the stack applied and active."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from upath import UPath

from db.databases import Databases, prepare
from errors import StackError, UsageError
from settings import PROJECT, Settings
from stacks import private, spec
from stacks.shortcuts import import_zenml


@dataclass(frozen=True)
class Session:
    """What a command works on."""

    settings: Settings
    stack: str
    changes: list[str]
    """What applying the stack changed, a line each."""
    folder: UPath
    """Where files go that steps read or write by their path."""
    databases: Databases | None = None
    """None where the metadata are behind a cluster's servers."""

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Do `work` only when nobody else does.

        Raises:
            DatabaseError: somebody does.
        """
        if self.databases is None:
            # A run in a cluster outlives the command that started it: its steps see to it themselves.
            yield
            return
        from db.session import advisory_lock

        with advisory_lock(self.databases.modelyard, work):
            yield


def require_local(stack: str, what: str) -> None:
    """`what` is done on this machine alone.

    Raises:
        UsageError: the stack of that name is a cluster's.
    """
    if spec.read(spec.named(stack)).platform != "local":
        raise UsageError(f"{what} works on this machine alone so far, not on the stack {stack!r}.")


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
    key = encryption_key(settings)
    _check_key(databases, key)
    os.environ |= environment(home / "zenml") | {
        "ZENML_STORE_URL": databases.zenml,
        "ZENML_STORE_BACKUP_STRATEGY": "disabled",
        "ZENML_SECRETS_STORE_TYPE": "sql",
        "ZENML_SECRETS_STORE_ENCRYPTION_KEY": key,
        "MLFLOW_TRACKING_URI": databases.mlflow,
        # Where MLflow puts the artifacts of new experiments: in a folder, or with its server into the bucket.
        "_MLFLOW_SERVER_ARTIFACT_ROOT": (
            "mlflow-artifacts:/" if settings.artifacts else str(home / "artifacts" / "mlflow")
        ),
    }
    return databases


def environment(config: Path) -> dict[str, str]:
    """What ZenML and MLflow are told on every stack; `config` is where ZenML keeps its own settings."""
    return {
        "ZENML_CONFIG_PATH": str(config),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
        "ZENML_CUSTOM_SOURCE_ROOT": str(PROJECT),
        "ZENML_DISABLE_CLIENT_SERVER_MISMATCH_WARNING": "true",
        "AUTO_OPEN_DASHBOARD": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def encryption_key(settings: Settings) -> str:
    """What ZenML's secrets are encrypted with: given by the settings, or made once and kept in a file."""
    if settings.encryption_key:
        return settings.encryption_key.get_secret_value()
    key, _ = private.keep(settings.home / "zenml" / "secrets.key", lambda: secrets.token_hex(32))
    return key


def name_of_key(key: str) -> str:
    """What is noted of the key with a database: a hash, which says nothing of it, as it is random."""
    return f"secrets encrypted with key {hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _check_key(databases: Databases, key: str) -> None:
    """Refuse databases whose secrets are encrypted with another key, before anything of theirs is changed."""
    from db.session import advisory_lock, connect

    mine = name_of_key(key)
    with connect(databases.zenml) as connection:
        if (noted := _comment(connection)) is None:
            with advisory_lock(databases.zenml, "key", wait=True):
                if (noted := _comment(connection)) is None:
                    note_key(connection, mine)
                    return
    if noted != mine:
        raise StackError(
            f"The databases at {databases.server} belong to another home folder: ZenML's secrets in them are "
            "encrypted with another key than the one used here, from MODELYARD_ENCRYPTION_KEY or else "
            "zenml/secrets.key below the home folder. Use the other's to go on here with the same data, or "
            "name a server without these databases in MODELYARD_DATABASE_URL."
        )


def note_key(connection: Connection, name: str) -> None:
    """Note with the connection's database of which key its secrets are."""
    database = connection.execute(text("SELECT quote_ident(current_database())")).scalar_one()
    connection.execute(text(f"COMMENT ON DATABASE {database} IS '{name}'"))


def _comment(connection: Connection) -> str | None:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    comment: str | None = connection.execute(text(query)).scalar_one()
    return comment


def open_stack(settings: Settings, stack: str, *, tracking: bool = True) -> Session:
    """Connect, make sure of ZenML's tables, apply the stack file of that name and activate it here.

    Without `tracking` the stack has no experiment tracker, and MLflow, which takes a second, stays unread.

    Raises:
        DatabaseError: PostgreSQL cannot be reached or used.
        StackError, UsageError: the stack's file is wrong, or there is none, or a part of it does not answer.
    """
    return open_file(spec.named(stack), settings, tracking=tracking)


def open_file(path: Path, settings: Settings, *, tracking: bool = True) -> Session:
    """The same for a stack file anywhere."""
    draft = spec.read(path)
    if draft.platform == "kubernetes":
        from stacks.kubernetes import session as cluster

        return cluster.open_draft(draft, settings, tracking=tracking)
    databases = connect(settings)
    wanted = spec.fill(draft, {"home": str(settings.home), "mlflow": databases.mlflow})
    open_store(databases)
    return Session(
        settings=settings,
        stack=wanted.name,
        changes=activate(wanted, tracking=tracking),
        folder=UPath(settings.home),
        databases=databases,
    )


def activate(wanted: spec.Stack, *, tracking: bool) -> list[str]:
    """Apply a stack and make it this process's active one; returns what changed, a line each."""
    from stacks.apply import apply

    stack_id, changes = apply(wanted, without=() if tracking else ("experiment_tracker",))
    # By environment, not in ZenML's settings file: commands with different stacks run side by side.
    os.environ["ZENML_ACTIVE_STACK_ID"] = str(stack_id)
    return changes


def open_store_of(path: Path, settings: Settings) -> None:
    """ZenML on the store of a stack file's platform, nothing applied."""
    if spec.read(path).platform == "kubernetes":
        from stacks.kubernetes import session as cluster

        cluster.connect(settings)
    else:
        open_store(connect(settings))


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
    "An API token without an expiration time",  # it goes with its schedule
    "Failed to run step",  # the error itself comes up to the command, which says it
    "Failed to disable MLflow autologging",  # of frameworks that are not installed
)


def quiet() -> None:
    """ZenML prints its messages on stdout, which belongs to a command's result: warnings go to stderr.

    What it says of a failed step is left out here, since the error itself comes up to the command.
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
