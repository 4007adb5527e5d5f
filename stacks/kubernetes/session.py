"""Open the stack of a cluster: connect, look whether each part answers, apply the stack file."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from upath import UPath

from stacks import session
from stacks.kubernetes import checks, cluster
from stacks.shortcuts import import_zenml
from stacks.spec import Draft, fill

if TYPE_CHECKING:
    from settings import Settings
    from stacks.kubernetes.cluster import Cluster
    from stacks.kubernetes.connection import Connection

# ZenML looks this secret up when a step is about to start; no stack has the values.
_LOGIN = "{{{{modelyard-login.{}}}}}"


def open_draft(draft: Draft, settings: Settings, *, tracking: bool = True) -> session.Session:
    """Apply a stack file that names a cluster's platform, and activate it here.

    Raises:
        StackError: the cluster or a part of its platform does not answer.
    """
    found = connect(settings)
    there = found.connection
    wanted = fill(draft, values(there))
    _register_flavor()
    return session.Session(
        settings=settings,
        stack=wanted.name,
        changes=session.activate(wanted, tracking=tracking),
        folder=UPath(f"s3://{there.bucket}"),
    )


def values(there: Connection) -> dict[str, str]:
    """What a stack file's placeholders stand for in a cluster."""
    return {
        "zenml": there.zenml_url,
        "mlflow": there.mlflow_url,
        "s3": there.s3_endpoint,
        "login_username": _LOGIN.format("username"),
        "login_password": _LOGIN.format("password"),
        **there.model_dump(),
        "registry": there.registry or "docker.io/library",
    }


def connect(settings: Settings) -> Cluster:
    """This process's ZenML, MLflow and S3 pointed at a cluster's, which all answer.

    Passwords travel in the process's environment alone.

    Raises:
        StackError: a part does not answer; the message says which.
    """
    found = cluster.connect(settings)
    os.environ |= session.environment(settings.home / "kubernetes") | found.environment()
    # What a user's shell says of a store of another kind.
    for name in ("ZENML_STORE_API_KEY", "ZENML_SECRETS_STORE_TYPE", "ZENML_ACTIVE_PROJECT_ID"):
        os.environ.pop(name, None)
    checks.require(found)
    with warnings.catch_warnings():
        # Deprecations inside ZenML's own imports are not the user's to mend.
        warnings.simplefilter("ignore")
        import_zenml("rest")
        session.quiet()
    return found


def _register_flavor() -> None:
    from zenml.client import Client
    from zenml.enums import StackComponentType
    from zenml.exceptions import EntityExistsError

    client = Client()
    with suppress(KeyError):
        client.get_flavor_by_name_and_type("modelyard", StackComponentType.ORCHESTRATOR)
        return
    with suppress(EntityExistsError):  # another command was faster
        client.create_flavor("stacks.kubernetes.orchestrator.Flavor", StackComponentType.ORCHESTRATOR)
