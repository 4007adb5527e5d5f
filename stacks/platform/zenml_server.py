"""ZenML's server and dashboard on the project's PostgreSQL: `python -m stacks.platform.zenml_server`."""

from __future__ import annotations

import os

import settings
from db import databases
from stacks import session
from stacks.platform import credentials, process, server

# What the dashboard may load: nothing from elsewhere, neither widgets nor logos that tell others of a visit.
# ZenML strips quotes from both ends of each list, so none begins or ends with one.
_ALLOWED = "; ".join(
    f"{what}-src blob: 'self' {more} blob:"
    for what, more in {
        "default": "data:",
        "script": "'unsafe-inline' 'unsafe-eval'",
        "style": "'unsafe-inline'",
        "img": "data:",
        "font": "data:",
        "connect": "data:",
        "frame": "data:",
    }.items()
)


def main() -> None:
    """Serve until SIGTERM."""
    process.end_with_parent()
    given = settings.read()
    databases.wait(given, server.WAIT_SECONDS)
    found = session.connect(given)
    login, _ = credentials.ensure(given)
    os.environ |= {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "kubernetes" if process.in_pod() else "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_JWT_SECRET_KEY": login.signing_key.get_secret_value(),
        "ZENML_DEFAULT_USER_NAME": login.username,
        "ZENML_DEFAULT_USER_PASSWORD": login.password.get_secret_value(),
        # Where artifacts are files of the same machine, the dashboard shows no visualization without it.
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "false" if given.artifacts else "true",
        "ZENML_SERVER_DISPLAY_ANNOUNCEMENTS": "false",
        "ZENML_SERVER_DISPLAY_UPDATES": "false",
        "ZENML_SERVER_SECURE_HEADERS_CSP": _ALLOWED,
    }
    # A server reads signatures of ZenML's models, which the shortcuts of commands leave for later.
    session.open_store(found, shortcuts=False)

    from zenml.zen_server.zen_server_api import app

    server.serve(app, found.zenml, given.platform_host, given.dashboard_port)


if __name__ == "__main__":
    process.run(main)
