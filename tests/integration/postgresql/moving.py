"""Fill a ZenML store, or move it to PostgreSQL: `moving.py fill`, `read` or `move SOURCE [die]`.

They work on the store of ZENML_STORE_URL. `read` prints secrets and an artifact as JSON. `move` says `ready`,
waits for a line on stdin, then prints as JSON what it moved, or why it was refused. With `die` the process
kills itself when all rows are copied.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import objects
from zenml import save_artifact
from zenml.client import Client

from stacks.postgresql import TransferRefused, initialize, install, transfer

KEY = "ZENML_SECRETS_STORE_ENCRYPTION_KEY"


def main() -> None:
    """Do what the arguments say."""
    if sys.argv[1] == "fill":
        objects.make(Client())
        save_artifact({"text": "naïve 東京"}, name="to be loaded")
        return
    if sys.argv[1] == "read":
        install()
        print(json.dumps(_read(Client())))
        return
    url = os.environ["ZENML_STORE_URL"]
    install()
    initialize(url)
    if sys.argv[3:] == ["die"]:

        def die(*_: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        transfer.__globals__["_add_key"] = die
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        rows = transfer(sys.argv[2], url, source_key=os.environ.get("SOURCE_KEY"), target_key=os.environ[KEY])
    except TransferRefused as error:
        print(json.dumps({"refused": str(error)}))
        return
    print(json.dumps({"rows": rows}))


def _read(client: Client) -> dict[str, Any]:
    client.set_active_project("default")  # of several, of which ZenML takes none by itself
    secrets = client.list_secrets(size=100)
    return {
        "secrets": {secret.name: client.get_secret(secret.id).secret_values for secret in secrets},
        "loaded": client.get_artifact_version("to be loaded").load(),
    }


if __name__ == "__main__":
    main()
