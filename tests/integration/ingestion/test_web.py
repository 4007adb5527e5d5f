"""Files behind HTTP: a file for each month, those that are not there yet, and downloads that break off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from errors import DataError
from tests.integration.ingestion.store import PASSENGERS, Store
from training.months import expand

MONTHS = expand(f"2020-01..{datetime.now(UTC):%Y-%m}")[-3:]


class _Handler(SimpleHTTPRequestHandler):
    broken: list[str]
    """Paths whose next download breaks off."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        if self.path in self.broken:
            self.broken.remove(self.path)
            outputfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        outputfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(folder: Path, broken: list[str]) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"broken": broken})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_months_that_are_there_are_loaded_and_the_next_one_when_it_comes(store: Store) -> None:
    store.put(f"people_{MONTHS[0]}.parquet", PASSENGERS[:300])
    broken = [f"/people_{MONTHS[0]}.parquet"]
    with serving(store.folder, broken) as url:
        source = store.source(kind="files", path=f"{url}/people_{{month}}.parquet", since=MONTHS[0])
        first = store.load(source).batch
        assert first is not None
        assert not broken
        (file,) = first.lineage["files"].values()
        assert file["mark"].startswith("http:")
        # One is left out: it may come later.
        store.put(f"people_{MONTHS[2]}.parquet", PASSENGERS[600:])
        assert store.load(source).batch is not None
        store.put(f"people_{MONTHS[1]}.parquet", PASSENGERS[300:600])
        third = store.load(source).batch
        assert third is not None
        assert list(third.lineage["files"]) == [f"people_{MONTHS[1]}.parquet"]
        store.check_whole(PASSENGERS["PassengerId"].tolist())
    with pytest.raises(DataError, match=r"Cannot ask for http://.*Check the address"):
        store.load(source)
