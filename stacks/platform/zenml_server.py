"""ZenML's server and dashboard on the project's PostgreSQL: `python -m stacks.platform.zenml_server`."""

from __future__ import annotations

import os

from settings import Settings
from stacks import session
from stacks.platform import credentials
from stacks.platform.process import end_with_parent

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
    end_with_parent()
    settings = Settings()
    databases = session.connect(settings)
    login, _ = credentials.ensure(settings.home)
    os.environ |= {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_JWT_SECRET_KEY": login.signing_key.get_secret_value(),
        "ZENML_DEFAULT_USER_NAME": login.username,
        "ZENML_DEFAULT_USER_PASSWORD": login.password.get_secret_value(),
        # Artifacts are files of the same machine: without it the dashboard shows no visualization.
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",
        "ZENML_SERVER_DISPLAY_ANNOUNCEMENTS": "false",
        "ZENML_SERVER_DISPLAY_UPDATES": "false",
        "ZENML_SERVER_SECURE_HEADERS_CSP": _ALLOWED,
    }
    # A server reads signatures of ZenML's models, which the shortcuts of commands leave for later.
    session.open_store(databases, shortcuts=False)

    import uvicorn
    from zenml.zen_server.zen_server_api import app

    uvicorn.run(
        app,
        host=settings.platform_host,
        port=settings.dashboard_port,
        server_header=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
