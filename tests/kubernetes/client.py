"""Ask servers again and again, and count: runs in a pod, with Python's own library alone.

REQUESTS is JSON, name → URL and headers. Each request is a new connection, so that any replica may get it.
Each second a line of JSON says, by name, how many were answered, which tries failed, and how many all did.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from typing import Any

PAUSE = 0.1
TRIES = 100
"""After so many in vain, a request is lost."""


def main() -> None:
    counts: dict[str, Any] = {}
    for name, (url, headers) in json.loads(os.environ["REQUESTS"]).items():
        counts[name] = {"answered": 0, "lost": 0, "failures": []}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        threading.Thread(target=ask, args=(request, counts[name])).start()
    while True:
        time.sleep(1)
        print(json.dumps(counts), flush=True)


def ask(request: urllib.request.Request, count: dict[str, Any]) -> None:
    while True:
        for _ in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                    answer.read()
            except OSError as error:
                count["failures"].append(f"{time.strftime('%H:%M:%S')} {error}")
                time.sleep(PAUSE)
            else:
                count["answered"] += 1
                break
        else:
            count["lost"] += 1
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
