"""Ask an endpoint all the time and count: runs in a pod, with Python's own library alone.

LOAD is JSON: `url`, `body`, `rate` (requests a second, all together; 0: as fast as it goes), `connections`.
Every other connection is kept open from request to request, the rest are made anew for each. No request
is ever made twice. Each second a line of JSON says how many were answered, by which version, which failed,
and how long the slowest took.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from typing import Any
from urllib.parse import urlsplit

SECONDS = 10
"""After so many without an answer a request has failed."""


def main() -> None:
    load = json.loads(os.environ["LOAD"])
    counts: dict[str, Any] = {"answered": 0, "versions": {}, "failures": [], "slowest": 0.0}
    turn = threading.Lock()
    begin = time.monotonic()
    for number in range(load["connections"]):
        threading.Thread(target=ask, args=(load, number, counts, turn)).start()
    while True:
        time.sleep(1)
        with turn:
            seconds = time.monotonic() - begin
            print(json.dumps(counts | {"seconds": seconds}), flush=True)


def ask(load: dict[str, Any], number: int, counts: dict[str, Any], turn: threading.Lock) -> None:
    url, kept = urlsplit(load["url"]), number % 2 == 0
    pause = load["connections"] / load["rate"] if load["rate"] else 0.0
    body = load["body"].encode()
    headers = {"Content-Type": "application/json", "Connection": "keep-alive" if kept else "close"}
    connection = http.client.HTTPConnection(str(url.hostname), url.port or 80, timeout=SECONDS)
    due = time.monotonic() + pause * number / load["connections"]
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due += pause
        begin = time.monotonic()
        try:
            connection.request("POST", url.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            failure = None if answer.status == 200 else f"{answer.status} {content[:200]!r}"
            version = answer.headers.get("Model-Version")
        except (OSError, http.client.HTTPException) as error:
            failure, version = f"{type(error).__name__}: {error}", None
            connection.close()
        with turn:
            if failure:
                kind = "kept" if kept else "new"
                counts["failures"].append(f"{time.strftime('%H:%M:%S')} ({kind} connection) {failure}")
            else:
                counts["answered"] += 1
                counts["versions"][version] = counts["versions"].get(version, 0) + 1
            counts["slowest"] = max(counts["slowest"], time.monotonic() - begin)


if __name__ == "__main__":
    main()
