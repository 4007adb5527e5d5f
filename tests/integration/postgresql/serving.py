"""ZenML's server on a PostgreSQL store, open to whoever asks: `python serving.py PORT`; says `ready`."""

from __future__ import annotations

import os
import sys

from stacks.postgresql import initialize, install


def main() -> None:
    """Serve until killed."""
    os.environ |= {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
    }
    install()
    initialize(os.environ["ZENML_STORE_URL"])

    import uvicorn
    from zenml.zen_server.zen_server_api import app

    class Server(uvicorn.Server):
        async def startup(self, *arguments: object, **options: object) -> None:
            await super().startup(*arguments, **options)  # type: ignore[arg-type]
            print("ready", flush=True)

    Server(uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")).run()


if __name__ == "__main__":
    main()
