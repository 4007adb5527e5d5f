"""MLflow's server with its pages, on the project's PostgreSQL: `python -m stacks.platform.mlflow_server`.

Beside them it has the record of releases (records.py), and brings events to their targets.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

import events
import settings
from db import databases
from db.migrate import upgrade
from stacks import session
from stacks.platform import credentials, process, records, server

# A login is checked against its hash, which takes 0.1 s of a core by design and several times a request, once
# in so many seconds; so a password that is changed holds for as long.
_ACCOUNTS = """[mlflow]
auth_cache_ttl_seconds = 60
default_permission = MANAGE
database_uri = {database}
admin_username = {username}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def main() -> None:
    """Serve until SIGTERM; only those who log in."""
    process.end_with_parent()
    given = settings.read()
    databases.wait(given, server.WAIT_SECONDS)
    found = session.connect(given)
    login, _ = credentials.ensure(given)
    accounts = given.home / "platform" / "mlflow-accounts.ini"
    accounts.parent.mkdir(parents=True, exist_ok=True)
    # No password is in it: the database's is in PGPASSWORD, the user's is hashed in the database.
    accounts.write_text(_ACCOUNTS.format(database=found.mlflow, username=login.username))
    os.environ |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(accounts),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": login.signing_key.get_secret_value(),
        # Its workers for jobs that nobody starts here take 2 GB.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # What `mlflow server` tells the process that it starts. Here that process is this one: a parent that
        # only waits takes 300 MB, and killed it leaves its child behind on the port.
        "_MLFLOW_SERVER_FILE_STORE": found.mlflow,
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        "_MLFLOW_SGI_NAME": "uvicorn",
        # The account is made below.
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true",
    }
    if given.artifacts:
        os.environ |= {
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{given.artifacts}/mlflow",
        }
    if given.platform_host not in ("127.0.0.1", "localhost", "::1"):
        # Asked by a name that it doesn't know MLflow refuses; the login is what keeps others out.
        os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = "*"
    # MLflow would make its tables by itself, and two servers that do so at once break them.
    session.open_tracking(found)
    credentials.teach_mlflow(login, found.mlflow)
    upgrade(found.modelyard)

    from mlflow.server.auth import create_app

    if "AWS_ENDPOINT_URL_S3" in os.environ:
        _send_nobody_to_s3()
    application = records.beside(create_app(), found.modelyard, login)
    with events.delivering(given, found.modelyard):
        server.serve(application, found.mlflow, given.platform_host, given.mlflow_port)


def _send_nobody_to_s3() -> None:
    """Let clients' artifacts go through this server.

    MLflow would send clients on to the S3 server, by its address as it is known here: inside a cluster, where
    others would look for it in vain for ten minutes.
    """
    from mlflow.server import server_info_api
    from mlflow.utils import server_info

    api: Any = server_info_api
    build = api.build_server_info_payload
    refused = dict.fromkeys(
        (
            server_info.SERVER_INFO_MULTIPART_DOWNLOADS_ENABLED,
            server_info.SERVER_INFO_MULTIPART_UPLOADS_ENABLED,
        ),
        False,
    )
    api.build_server_info_payload = lambda: build() | refused


if __name__ == "__main__":
    process.run(main)
