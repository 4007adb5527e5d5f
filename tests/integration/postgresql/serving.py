"""ZenML's real server on the PostgreSQL of `ZENML_STORE_URL`: `python serving.py PORT [PASSWORD]`.

Without a password it is open to whoever asks. Says `ready` once it answers.
"""

from __future__ import annotations

import os
import sys

from stacks.postgresql import initialize, install


def main() -> None:
    """Serve until it is killed."""
    port, *password = sys.argv[1:]
    os.environ |= {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_JWT_SECRET_KEY": "0" * 64,
    }
    if password:
        os.environ["ZENML_DEFAULT_USER_PASSWORD"] = password[0]
    else:
        os.environ["ZENML_SERVER_AUTH_SCHEME"] = "NO_AUTH"
    install()
    initialize(os.environ["ZENML_STORE_URL"])

    import uvicorn
    from zenml.zen_server.zen_server_api import app

    class Server(uvicorn.Server):
        async def startup(self, *arguments: object, **options: object) -> None:
            await super().startup(*arguments, **options)  # type: ignore[arg-type]
            print("ready", flush=True)

    Server(uvicorn.Config(app, host="127.0.0.1", port=int(port), log_level="warning")).run()


if __name__ == "__main__":
    main()
