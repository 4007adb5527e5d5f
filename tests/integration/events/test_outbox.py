"""Events are noted with what they tell of, and brought on until they are taken, by real webhooks."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

import events
from db import checks, releases
from db import events as outbox
from db.migrate import upgrade
from db.session import connect
from events import delivery
from settings import PROJECT, Settings
from tests.integration.events.receiver import KEY, Receiver, receiving

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def url(database: str) -> str:
    upgrade(database)
    return database


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings(receiver: Receiver, tmp_path: Path) -> Settings:
    return to(receiver.url, tmp_path)


def to(urls: str, home: Path) -> Settings:
    return Settings(home=home, events=SecretStr(urls), events_key=SecretStr(KEY))


def served(url: str, version: int, why: str = "champion", target: str = "local") -> int:
    number = releases.begin(
        url,
        use_case="taxi",
        model_version=version,
        bento=f"taxi:{version}",
        target=target,
        released_by="ann@laptop",
        why=why,
    )
    releases.serve(url, number, "http://127.0.0.1:3000")
    return number


def checked(url: str, verdict: str, hour: int) -> int:
    found = {"findings": [{"sentence": "Trips are longer."}]}
    since = NOON + timedelta(hours=hour)
    return checks.record(
        url,
        use_case="taxi",
        model_version=2,
        since=since,
        until=since + timedelta(hours=1),
        verdict=verdict,
        found=found,
    )


def test_releases_rollbacks_and_drift_are_told_in_their_order(
    url: str, receiver: Receiver, settings: Settings
) -> None:
    first = served(url, 1)
    second = served(url, 2)
    releases.serve(url, second, "http://127.0.0.1:3001")  # has moved: nothing new serves
    checked(url, "good", 0)
    check = checked(url, "retrain", 1)
    canary = releases.begin(
        url, use_case="taxi", model_version=3, bento="taxi:3", target="local", released_by="ann@laptop"
    )
    releases.canary(url, canary, "http://127.0.0.1:3002")
    releases.withdraw(url, canary, "Its answers were wrong.")
    served(url, 1, why=releases.ROLLBACK)
    failed = releases.begin(
        url, use_case="taxi", model_version=4, bento="taxi:4", target="local", released_by="ann@laptop"
    )
    releases.fail(url, failed, "It did not start.")

    delivery.sweep(settings, url, 60)

    told = [
        (one["type"], one["data"].get("model_version"), one["data"].get("before")) for one in receiver.taken
    ]
    assert told == [
        ("modelyard.release", 1, None),
        ("modelyard.release", 2, 1),
        ("modelyard.drift", 2, None),
        ("modelyard.rollback", 2, 3),
        ("modelyard.rollback", 1, 2),
    ]
    assert {(one["specversion"], one["subject"]) for one in receiver.taken} == {("1.0", "taxi")}
    assert receiver.taken[0]["source"] == "/modelyard/releases/local"
    assert receiver.taken[0]["data"]["release"] == first
    assert receiver.taken[2]["data"]["findings"] == ["Trips are longer."]
    assert receiver.taken[2]["data"]["check"] == check
    assert receiver.taken[3]["data"]["why"] == "Its answers were wrong."
    assert abs(datetime.now(UTC) - datetime.fromisoformat(receiver.taken[4]["time"])) < timedelta(minutes=1)
    assert {headers["content-type"] for headers, _ in receiver.requests} == {"application/cloudevents+json"}

    delivery.sweep(settings, url, 60)
    assert len(receiver.came) == 5


def test_what_does_not_come_about_is_not_told(url: str) -> None:
    number = served(url, 1)
    releases.stop(url, number, "enough")
    with pytest.raises(releases.Conflict):
        releases.serve(url, number, "http://127.0.0.1:3000")
    checked(url, "retrain", 0)
    with pytest.raises(Exception, match="on record already"):
        checked(url, "retrain", 0)
    assert [row["type"] for row in outbox.newest(url, 10)] == ["modelyard.drift", "modelyard.release"]


def test_what_fails_and_then_hangs_is_tried_again_until_it_takes_the_event(
    url: str, receiver: Receiver, settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    monkeypatch.setattr(delivery, "ANSWER_SECONDS", 0.5)
    woken = threading.Event()

    def hang() -> int:
        woken.wait(60)
        return 204

    receiver.answers = [500, hang]
    served(url, 1)
    with caplog.at_level(logging.WARNING):
        delivery.sweep(settings, url, 60)
    woken.set()
    assert [one["id"] for one in receiver.came] == [receiver.came[0]["id"]] * 3
    assert len(receiver.taken) >= 1
    ((_, row),) = outbox.newest(url, 1)[0]["deliveries"].items()
    assert (row["attempts"], row["problem"], row["due"]) == (3, None, None)
    said = [record.getMessage() for record in caplog.records]
    assert "answered 500" in said[0]
    assert "did not answer within" in said[1]
    assert not any("secret-path" in one for one in said)


def test_a_target_that_is_down_keeps_later_events_in_order_and_others_untouched(
    url: str, receiver: Receiver, tmp_path: Path, free_port: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(delivery, "_pause", lambda *_: 600.0)
    both = to(f"http://127.0.0.1:{free_port}/ {receiver.url}", tmp_path)
    served(url, 1)
    served(url, 2)
    delivery.sweep(both, url, 60)
    assert len(receiver.taken) == 2
    down = outbox.waiting(url, delivery.digest(events.targets(both)[0]))
    assert [one.attempts for one in down] == [1, 0]
    assert down[0].problem == "cannot be reached: [Errno 111] Connection refused"
    assert 500 < down[0].seconds <= 600


def test_retry_after_is_waited_for(url: str, receiver: Receiver, settings: Settings) -> None:
    receiver.answers, receiver.retry_after = [503], "120"
    served(url, 1)
    delivery.sweep(settings, url, 5)
    (waiting,) = outbox.waiting(url, delivery.digest(receiver.url))
    assert 110 < waiting.seconds <= 120


def test_a_refused_event_is_not_sent_again_and_holds_nothing_up(
    url: str, receiver: Receiver, settings: Settings
) -> None:
    receiver.answers = [422]
    served(url, 1)
    served(url, 2)
    delivery.sweep(settings, url, 60)
    delivery.sweep(settings, url, 60)
    assert [one["data"]["model_version"] for one in receiver.came] == [1, 2]
    assert [one["data"]["model_version"] for one in receiver.taken] == [2]


def test_what_nobody_took_in_three_days_is_given_up(url: str, receiver: Receiver, settings: Settings) -> None:
    served(url, 1)
    served(url, 2)
    with connect(url) as connection:
        connection.execute(text("UPDATE events SET at = now() - interval '73 hours' WHERE number = 1"))
    delivery.sweep(settings, url, 60)
    assert [one["data"]["model_version"] for one in receiver.taken] == [2]
    with connect(url) as connection:
        connection.execute(text("UPDATE events SET at = now() - interval '91 days' WHERE number = 2"))
    delivery.sweep(settings, url, 60)
    assert [row["number"] for row in outbox.newest(url, 10)] == [1]


_SWEEP = """
import sys
from pathlib import Path
from pydantic import SecretStr
from events import delivery
from settings import Settings
url, target, key, home = sys.argv[1:]
delivery.sweep(Settings(home=Path(home), events=SecretStr(target), events_key=SecretStr(key)), url, 60)
"""


def test_killed_while_it_delivers_it_is_delivered_all_the_same_with_one_id(
    url: str, receiver: Receiver, settings: Settings, tmp_path: Path
) -> None:
    arrived, woken = threading.Event(), threading.Event()

    def hang() -> int:
        arrived.set()
        woken.wait(60)
        return 204

    receiver.answers = [hang]
    served(url, 1)
    with _sweeping(url, receiver, tmp_path) as process:
        assert arrived.wait(60)
        process.kill()
    woken.set()
    delivery.sweep(settings, url, 60)
    assert len(receiver.came) == 2
    assert receiver.came[0] == receiver.came[1]
    assert outbox.waiting(url, delivery.digest(receiver.url)) == []


def test_processes_that_deliver_at_once_send_each_event_once(
    url: str, receiver: Receiver, tmp_path: Path
) -> None:
    for version in range(1, 6):
        served(url, version)
    processes = [_sweeping(url, receiver, tmp_path) for _ in range(3)]
    for process in processes:
        assert process.wait(120) == 0
    assert [one["data"]["model_version"] for one in receiver.came] == [1, 2, 3, 4, 5]


def _sweeping(url: str, receiver: Receiver, home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _SWEEP, url, receiver.url, KEY, str(home)]
    return subprocess.Popen(command, cwd=PROJECT, env=os.environ)


def test_a_server_goes_on_delivering_also_after_the_database_was_away(
    url: str, receiver: Receiver, settings: Settings, monkeypatch: Any
) -> None:
    monkeypatch.setattr(events, "PAUSE", 0.1)
    real, away = outbox.waiting, [True]

    def waiting(*arguments: Any) -> Any:
        if away:
            away.clear()
            raise ConnectionError("the database is away")
        return real(*arguments)

    monkeypatch.setattr(outbox, "waiting", waiting)
    served(url, 1)
    with events.delivering(settings, url):
        _wait_until(lambda: len(receiver.taken) == 1)
        served(url, 2)
        _wait_until(lambda: len(receiver.taken) == 2)


def _wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
