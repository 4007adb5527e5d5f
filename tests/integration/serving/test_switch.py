"""Another version takes over in the middle of everything: keys, kept connections, and the prediction log."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from db.migrate import upgrade
from releases import release as releases
from serving import keys
from settings import Settings
from tests.integration.releases.titanic import USE_CASE, Built, Place, build
from tests.integration.serving.live import EXAMPLE


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("second"), version=2, strength=10.0)


@pytest.fixture
def place(tmp_path: Path, database: str, free_port: int) -> Iterator[Place]:
    settings = Settings(home=tmp_path / "home", endpoint_port=free_port)
    upgrade(database)
    yield Place(settings, database)
    releases.halt(settings, database)


def test_no_request_fails_and_every_answer_is_logged_while_versions_change(
    place: Place, built: Built, second: Built, free_port: int
) -> None:
    folder = place.settings.home / "endpoints"
    folder.mkdir(parents=True)
    text, key = keys.added("", "web", ["predict"])
    (folder / f"{USE_CASE}.keys").write_text(text)
    place.release(built)
    answered: Counter[int] = Counter()
    failures: list[str] = []
    done = threading.Event()

    def ask_all_the_time() -> None:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {key}",
            "X-Request-ID": "asked",
        }
        body = json.dumps(EXAMPLE)
        with closing(http.client.HTTPConnection("127.0.0.1", free_port, timeout=30)) as connection:
            while not done.is_set():
                try:
                    connection.request("POST", "/predict", body, headers)
                    answer = connection.getresponse()
                    told = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    failures.append(repr(error))
                    connection.close()
                    continue
                if answer.status == 200:
                    answered[json.loads(told)["model_version"]] += 1
                else:
                    failures.append(told.decode())

    callers = [threading.Thread(target=ask_all_the_time) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        place.release(second)
        place.release(built)
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert failures == []
    assert set(answered) == {1, 2}
    releases.halt(place.settings, place.url)
    with closing(psycopg2.connect(place.url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT model_version, count(*) FROM predictions WHERE request_id = 'asked' GROUP BY 1"
        )
        assert dict(cursor.fetchall()) == answered
