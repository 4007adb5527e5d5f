"""All that a platform's servers need, made before they serve: `python -m stacks.platform.migrate`.

Databases, tables, login and bucket; whatever is there already stays. Several at once take turns.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

import settings
from db import databases, roles
from errors import DatabaseError, UsageError
from stacks.platform import credentials, process

if TYPE_CHECKING:
    from settings import Settings
    from stacks.platform.credentials import Credentials

WAIT_SECONDS = 120

logger = logging.getLogger("modelyard")


def migrate(settings: Settings) -> None:
    """Wait for PostgreSQL and for S3, where it is used, and make what is missing.

    Raises:
        DatabaseError, StackError: one of them does not answer in time, or may not be used.
    """
    databases.wait(settings, WAIT_SECONDS)
    if settings.artifacts:
        from stacks import bucket

        bucket.wait(bucket.connect(settings.artifacts), WAIT_SECONDS, make=settings.make_bucket)
    login, _ = credentials.ensure(settings)
    make_tables(settings, login)


def make_tables(settings: Settings, login: Credentials) -> None:
    """The three databases with all their tables, as this version wants them, and all logins.

    Raises:
        DatabaseError, StackError: PostgreSQL cannot be used.
    """
    from db.migrate import upgrade
    from stacks import session

    found = session.connect(settings)
    upgrade(found.modelyard)
    session.open_store(found)
    credentials.teach_zenml(login, found.zenml)
    session.open_tracking(found)
    credentials.teach_mlflow(login, found.mlflow)
    for role, address in (
        (roles.ENDPOINT, settings.predictions_url),
        (roles.STREAM, settings.stream_url),
        (roles.INGESTION, settings.ingestion_url),
    ):
        if address is not None:
            _make_role(found.modelyard, role, address.get_secret_value())


def _make_role(url: str, role: roles.Role, login: str) -> None:
    """Make the role of the URL `login`; without one that may make roles, only what needs it does not work."""
    from db.session import advisory_lock

    user, password = make_url(login).username, make_url(login).password
    if user != role.name or not password:
        raise UsageError(
            f"The login of {role.name} has to be of that user with a password, "
            f"postgresql://{role.name}:PASSWORD@HOST/modelyard; it is of the user {user}."
        )
    try:
        with advisory_lock(url, "logins", wait=True):
            roles.make(url, role, str(password))
    except DatabaseError as error:
        logger.warning("%s cannot log in: %s", role.name, error)


def main() -> None:
    """Make it all."""
    migrate(settings.read())


if __name__ == "__main__":
    process.run(main)
