"""All that a platform's servers need, made before they serve: `python -m stacks.platform.migrate`.

Databases, tables, login and bucket; whatever is there already stays. Several at once take turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import settings
from db import databases
from stacks.platform import credentials, process

if TYPE_CHECKING:
    from settings import Settings
    from stacks.platform.credentials import Credentials

WAIT_SECONDS = 120


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
    """The three databases with all their tables, as this version wants them, and the login of both pages.

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


def main() -> None:
    """Make it all."""
    migrate(settings.read())


if __name__ == "__main__":
    process.run(main)
