"""MLflow's server with its pages, on the project's PostgreSQL: `python -m stacks.platform.mlflow_server`."""

from __future__ import annotations

import os
import uuid

from settings import Settings
from stacks import session
from stacks.platform import credentials
from stacks.platform.process import end_with_parent

_ACCOUNTS = """[mlflow]
default_permission = MANAGE
database_uri = {database}
admin_username = {username}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def main() -> None:
    """Serve until SIGTERM; only those who log in."""
    end_with_parent()
    settings = Settings()
    databases = session.connect(settings)
    login, _ = credentials.ensure(settings.home)
    accounts = settings.home / "platform" / "mlflow-accounts.ini"
    # No password is in it: the database's is in PGPASSWORD, the user's is hashed in the database.
    accounts.write_text(_ACCOUNTS.format(database=databases.mlflow, username=login.username))
    os.environ |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(accounts),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": login.signing_key.get_secret_value(),
        # Its workers for jobs that nobody starts here take 2 GB.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # What `mlflow server` tells the process that it starts. Here that process is this one: a parent that
        # only waits takes 300 MB, and killed it leaves its child behind on the port.
        "_MLFLOW_SERVER_FILE_STORE": databases.mlflow,
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        "_MLFLOW_SGI_NAME": "uvicorn",
        # The account was made by `up` (credentials.py).
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true",
    }
    if settings.platform_host not in ("127.0.0.1", "localhost", "::1"):
        # Asked by a name that it doesn't know MLflow refuses; the login is what keeps others out.
        os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = "*"

    import uvicorn

    uvicorn.run(
        "mlflow.server.auth:create_app",
        factory=True,
        host=settings.platform_host,
        port=settings.mlflow_port,
        server_header=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
