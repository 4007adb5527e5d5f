"""Alerts arrive at a mail server and at a webhook, once; and what does not take them stops nobody."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from alerts import Alert, delivery, send
from console import alerts as console
from console import events as console_events
from console.watching import Said, tell
from db import alerts as record
from db import migrate
from db.session import connect
from settings import Settings
from tests.integration.command_line import CommandLine, read
from tests.integration.events.receiver import KEY, Receiver, receiving

pytest.importorskip("apprise", reason="NO ALERT IS TESTED: apprise is not installed; run make test")
controller = pytest.importorskip(
    "aiosmtpd.controller", reason="NO ALERT IS TESTED: aiosmtpd is not installed"
)

SECRET = "s3cret-token"
DRIFT = Alert(
    "drift",
    "taxi",
    "taxi drifts",
    "trip_distance is twice as long as in training: 6.1 miles, not 3.0.",
    {"report": "https://modelyard.example.com/report.html", "run": "https://zenml.example.com/runs/7"},
)


class Mailbox:
    """What a mail server took."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


class Hook:
    """A receiver of webhooks."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.came: list[dict[str, Any]] = []

    @property
    def target(self) -> str:
        return f"json://127.0.0.1:{self.port}/{SECRET}"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A mail server and its URL."""
    box = Mailbox()
    running = controller.Controller(box, hostname="127.0.0.1", port=_free_port())
    running.start()
    yield box, f"mailto://127.0.0.1:{running.port}?from=modelyard@example.com&to=people@example.com"
    running.stop()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with _hook() as hook:
        yield hook


@pytest.fixture
def settings(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of somebody whose alerts are on record in an empty database."""
    migrate.upgrade(database)
    monkeypatch.setattr("db.databases.migrated", lambda _: database)
    return Settings(home=tmp_path, database_url=SecretStr(database))


def test_a_mail_says_what_happened_and_where_to_look(
    settings: Settings, mailbox: tuple[Mailbox, str]
) -> None:
    box, url = mailbox
    (told,) = send(_to(settings, url), DRIFT)
    assert told == ("1 (mailto)", None)
    (mail,) = box.mails
    assert mail["Subject"] == "taxi drifts"
    assert mail["To"] == "people@example.com"
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines()[:4] == [
        "trip_distance is twice as long as in training: 6.1 miles, not 3.0.",
        "",
        "report: https://modelyard.example.com/report.html",
        "run: https://zenml.example.com/runs/7",
    ]


def test_a_webhook_gets_it_too_and_each_once_a_day(settings: Settings, hook: Hook) -> None:
    to = _to(settings, hook.target)
    assert send(to, DRIFT) == [("1 (json)", None)]
    assert send(to, DRIFT) == []
    assert send(to, Alert("drift", "taxi", "taxi drifts", "It still does, by more.")) == []
    assert len(send(to, Alert("drift", "titanic", "taxi drifts", ""))) == 1
    assert len(send(to, Alert("data late", "taxi", "taxi drifts", ""))) == 1
    assert [came["title"] for came in hook.came] == ["taxi drifts"] * 3
    assert hook.came[0]["type"] == "warning"

    with connect(_url(settings)) as connection:
        connection.exec_driver_sql("UPDATE alerts SET at = at - interval '25 hours'")
    assert len(send(to, DRIFT)) == 1


def test_what_nobody_took_is_told_the_next_time(
    settings: Settings, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    to, hook.status = _to(settings, hook.target), 503
    with caplog.at_level(logging.DEBUG):
        assert send(to, DRIFT) == [("1 (json)", "answered 503")]
    assert "Target 1 (json) of alerts answered 503; not told: taxi drifts" in caplog.text
    assert SECRET not in caplog.text
    hook.status = 200
    assert send(to, DRIFT) == [("1 (json)", None)]
    assert [(row["taken"], row["failed"]) for row in record.newest(_url(settings), 10)] == [(1, 0), (0, 1)]


def test_a_dead_target_a_silent_one_and_nonsense_keep_nobody_else_from_being_told(
    settings: Settings, hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delivery, "SECONDS", 2.0)
    with _silent() as silent, caplog.at_level(logging.DEBUG):
        targets = [
            f"json://127.0.0.1:{_free_port()}/{SECRET}",
            f"mailto://127.0.0.1:{silent}?from=a@example.com&to=b@example.com",
            f"nonsense://{SECRET}",
            SECRET,
            hook.target,
        ]
        began = time.monotonic()
        told = send(_to(settings, "\n".join(targets)), DRIFT)
        assert time.monotonic() - began < 10
    assert told == [
        ("1 (json)", "cannot be reached"),
        ("2 (mailto)", "took longer than 2 s"),
        ("3 (nonsense)", "is no URL that Apprise knows; see https://appriseit.com"),
        ("4 (?)", "is no URL that Apprise knows; see https://appriseit.com"),
        ("5 (json)", None),
    ]
    assert len(hook.came) == 1
    assert SECRET not in caplog.text
    (row,) = record.newest(_url(settings), 10)
    assert (row["taken"], row["failed"]) == (1, 4)


def test_a_round_of_the_loop_that_failed_and_data_that_are_late_are_told_once_a_day(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    old = "The newest row it knows is of 2024-02-29, 1,001 days ago; after 92 it is outdated."
    champion = {"version": 3, "outdated": [old]}
    looked = Said(0, {"decision": "nothing", "reasons": ["All is well."], "evidence": {"champion": champion}})
    broken = Said(1, {"error": "PostgreSQL does not answer.\nIs it up?"})
    for _ in range(2):
        tell(_to(settings, hook.target), "taxi", broken, looked, tmp_path / "watch-taxi.log")
    failing, late = hook.came
    assert failing["title"] == "A round of the loop of taxi failed"
    assert "PostgreSQL does not answer." in failing["message"]
    assert "watch-taxi.log" in failing["message"]
    assert late["title"] == "taxi version 3 is outdated"
    assert old in late["message"]


def test_a_round_in_which_all_went_well_tells_nothing(settings: Settings, hook: Hook, tmp_path: Path) -> None:
    evidence = {"champion": {"version": 3, "outdated": []}}
    fine = Said(0, {"decision": "nothing", "reasons": [], "evidence": evidence})
    check = Said(0, {"check": {"verdict": "good"}, "new": True})
    tell(_to(settings, hook.target), "taxi", check, fine, tmp_path / "watch-taxi.log")
    assert hook.came == []


def test_without_a_database_everything_is_told(tmp_path: Path, hook: Hook) -> None:
    to = _to(Settings(home=tmp_path), hook.target)
    assert len(send(to, DRIFT)) == len(send(to, DRIFT)) == 1


def test_without_targets_nothing_happens(tmp_path: Path) -> None:
    assert send(Settings(home=tmp_path), DRIFT) == []


def test_the_setting_is_not_shown(tmp_path: Path, hook: Hook) -> None:
    settings = _to(Settings(home=tmp_path), hook.target)
    assert SECRET not in repr(settings) + settings.model_dump_json()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def test_people_and_systems_are_told_of_a_release_and_a_rollback_and_people_of_a_gate_that_was_not_passed(
    tmp_path: Path, hook: Hook, receiver: Receiver, free_port: int
) -> None:
    modelyard = CommandLine(
        tmp_path / "home",
        free_port,
        MODELYARD_ALERTS=hook.target,
        MODELYARD_EVENTS=receiver.url,
        MODELYARD_EVENTS_KEY=KEY,
    )
    try:
        assert modelyard("train", "titanic", "--release").code == 0
        failed = modelyard("train", "titanic", "--candidates", "baseline")
        assert failed.code == 3
        assert modelyard("release", "titanic", "--version", "2").code == 0
        assert modelyard("rollback", "titanic").code == 0
        # A release that changes nothing is no news, nor is the same training once more.
        assert modelyard("release", "titanic", "--version", "1").code == 0
        assert modelyard("train", "titanic", "--candidates", "baseline").code == 3
        assert [came["title"] for came in hook.came] == [
            "titanic version 1 serves (release 1)",
            "titanic version 2 does not become champion",
            "titanic version 2 serves (release 2)",
            "titanic version 1 serves again (release 3)",
        ]
        gate = next(each for each in failed.document["gates"] if not each["passed"])
        message = hook.came[1]["message"]
        assert f"{gate['gate']}: {gate['reason']}" in message
        assert "The champion is still version 1." in message
        assert "run: http://127.0.0.1:8237/projects/default/runs/" in message
        listed = modelyard("alerts", "list")
        assert len(listed.document["alerts"]) == 4
        assert "titanic version 2 serves (release 2)" in read(console.list_report, listed)
        assert modelyard("events", "test").code == 0
        assert [(one["type"], one["data"].get("model_version")) for one in receiver.taken] == [
            ("modelyard.release", 1),
            ("modelyard.release", 2),
            ("modelyard.rollback", 1),
            ("modelyard.test", None),
        ]
        happened = modelyard("events", "list")
        assert len(happened.document["events"]) == 4
        assert read(console_events.list_report, happened).count("1 (http) taken") == 4
        receiver.answers = [500] * 20
        down = modelyard("events", "test")
        assert down.code == 1
        assert "Target 1 (http) answered 500; events that wait for it: 1." in read(console_events.sent, down)
        assert "secret-path" not in str(down.document) + down.stderr
        receiver.answers = []
        assert modelyard("events", "send").code == 0
    finally:
        modelyard("stop")


def test_a_test_says_what_came_of_each_target(tmp_path: Path, hook: Hook) -> None:
    def asked(targets: str) -> Any:
        return CommandLine(tmp_path / "home", 3000, MODELYARD_ALERTS=targets)("alerts", "test")

    good = asked(hook.target)
    assert good.code == 0, good.document
    assert read(console.tested, good).strip() == "Target 1 (json) took it."
    bad = asked(f"{hook.target} nonsense://{SECRET}")
    assert bad.code == 1
    assert "Target 2 (nonsense) is no URL that Apprise knows" in read(console.tested, bad)
    assert SECRET not in str(bad.document) + bad.stderr
    none = asked("")
    assert none.code == 2
    assert "Nobody is told: set MODELYARD_ALERTS" in none.document["error"]
    assert [came["title"] for came in hook.came] == ["A test of alerts"] * 2


def _to(settings: Settings, targets: str) -> Settings:
    return settings.model_copy(update={"alerts": SecretStr(targets)})


def _url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@contextmanager
def _hook() -> Iterator[Hook]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if hook.status == 200:
                hook.came.append(content)
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Hook(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _silent() -> Iterator[int]:
    """Port of a server that says hello byte by byte, for ever."""
    ended = threading.Event()

    def serve(listening: socket.socket) -> None:
        listening.settimeout(20)
        with contextlib.suppress(OSError), listening.accept()[0] as connection:
            while not ended.wait(0.5):
                connection.sendall(b"2")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
