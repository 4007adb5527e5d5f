"""Two workers under full load, one killed every few seconds: answers stay right, and the log is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.soak import soak
from db import embedded
from tests.conftest import _database
from tests.integration.releases.titanic import Built
from tests.integration.serving.live import environment_of


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk puts on the load; there is none on PATH")
def test_deaths_of_workers_cost_nothing_but_their_own_connections(
    built: Built, server: embedded.Server, tmp_path: Path
) -> None:
    with _database(server) as url:
        around = environment_of(tmp_path / "home", url)
        seen = soak(built.bento.path, tmp_path, url, around, seconds=20, between=5)
    print(seen.table())
    assert seen.faults() == []
    assert seen.kills >= 2
    assert seen.statuses[200] > 100
    assert seen.largest < 400
