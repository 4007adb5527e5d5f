"""Whatever bytes a client sends, it gets an honest answer or none, and others go on being served."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from serving.connections import MAX_CONNECTIONS, UNREAD_SECONDS
from tests.integration.serving.live import EXAMPLE, Live, request

BODY = json.dumps(EXAMPLE).encode()


@pytest.fixture(autouse=True)
def unharmed(live: Live) -> Iterator[None]:
    """After each test: answers as offline, nothing under way, no failure in the log."""
    before = len(live.log.read_bytes())
    yield
    live.answers_right()
    deadline = time.monotonic() + 10
    while (left := live.figure("modelyard_requests_in_flight")) != 1:  # the one that asks
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    written = live.log.read_bytes()[before:].decode()
    assert "Traceback" not in written, written


def statuses(answered: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", answered)]


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: abc"],
        ["Content-Length: -1"],
        ["Content-Length: +5"],
        ["Content-Length: 1_0"],
        ["Content-Length: 0x10"],
        ["Content-Length:"],
        ["Content-Length: 99999999999999999999999999"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Transfer-Encoding: chunked, gzip"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding : chunked"],
    ],
    ids=str,
)
def test_a_body_of_which_nobody_can_say_where_it_ends_is_refused(live: Live, headers: list[str]) -> None:
    answered = live.talk(request(BODY, *headers))
    assert statuses(answered) == [400], answered


def test_a_head_without_end_is_refused_before_it_fills_the_memory(live: Live) -> None:
    endless = b"X-Long: " + b"a" * 40_000
    for head in (endless, b"\r\n".join([b"X-Many: %d" % number for number in range(4_000)])):
        start = b"GET /model HTTP/1.1\r\nHost: endpoint\r\n" + head
        assert statuses(live.talk(start)) == [431]
        assert statuses(live.talk(start + b"\r\n\r\n")) == [431]
        assert statuses(live.talk(*[start[at : at + 5_000] for at in range(0, len(start), 5_000)])) == [431]
    assert statuses(live.talk(b"GET /" + b"a" * 40_000)) == [431]
    large = request(BODY, "X-Large: " + "a" * 20_000, "Connection: close")
    assert statuses(live.talk(large)) == [200]


def test_what_follows_a_body_is_no_way_around_that(live: Live) -> None:
    chunked = request(b"", "Transfer-Encoding: chunked", "Connection: close") + b"%x\r\n%b\r\n" % (
        len(BODY),
        BODY,
    )
    assert statuses(live.talk(chunked + b"0\r\nX-Trailer: 1\r\n\r\n")) == [200]
    assert statuses(live.talk(chunked, b"0\r\nX-Trailer: " + b"a" * 70_000)) == [431]
    assert statuses(live.talk(chunked, b"1;" + b"a" * 70_000)) == [431]


def test_a_request_that_comes_too_slowly_is_given_up(live: Live) -> None:
    began = time.monotonic()
    slow = [
        b"POST /predict HTTP/1.1\r\nHost: endpoint\r\nX-",
        request(b"", f"Content-Length: {len(BODY)}"),
        request(BODY[:5], f"Content-Length: {len(BODY)}"),
        request(b"", "Transfer-Encoding: chunked") + b"5\r\nab",
        # Refused before its body came, which then never does.
        request(b"12", "Content-Length: 1000", target="/no-such-path"),
    ]
    with ThreadPoolExecutor(len(slow)) as pool:
        answered = list(pool.map(lambda start: live.talk(start, wait=20), slow))
    assert [statuses(answer) for answer in answered] == [[408], [408], [408], [408], [404]]
    assert b"application/problem+json" in answered[1]
    assert 9 < time.monotonic() - began < 14


def test_bodies_that_never_come_keep_nobody_else_from_being_answered(live: Live) -> None:
    with ExitStack() as stack:
        for _ in range(400):
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", live.port)))
            caller.sendall(request(BODY[:5], f"Content-Length: {len(BODY)}"))
        live.answers_right()


def test_beyond_so_many_connections_a_client_is_told_to_come_again(live: Live) -> None:
    with ExitStack() as stack:
        callers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", live.port)))
            for _ in range(MAX_CONNECTIONS)
        ]
        answered = live.talk(request(BODY))
        assert statuses(answered) == [503]
        assert b"retry-after: 1\r\n" in answered
        assert b"connection: close\r\n" in answered
        assert json.loads(answered.partition(b"\r\n\r\n")[2])["status"] == 503
        callers[0].sendall(request(BODY, "Connection: close"))
        assert statuses(callers[0].recv(65_536)) == [200]


def test_answers_come_in_the_order_of_the_requests(live: Live) -> None:
    batch = json.dumps({"rows": [EXAMPLE] * 500}).encode()
    sent = [
        request(batch, "X-Request-ID: 0", target="/predict_batch"),
        request(b"{", "X-Request-ID: 1"),
        request(BODY, "X-Request-ID: 2"),
        request(b"", "X-Request-ID: 3", target="/nowhere", method="GET"),
        request(BODY, "X-Request-ID: 4", "Connection: close"),
    ]
    for pieces in ([b"".join(sent)], sent):
        answered = live.talk(*pieces, pause=0)
        assert statuses(answered) == [200, 400, 200, 404, 200]
        assert re.findall(rb"x-request-id: (\d)", answered) == [b"0", b"1", b"2", b"3", b"4"]


def test_nonsense_behind_a_request_is_no_answer_to_it(live: Live) -> None:
    batch = json.dumps({"rows": [EXAMPLE] * 500}).encode()
    answered = live.talk(request(batch, target="/predict_batch") + b"\0\0\0\r\n\r\n")
    head, _, after = answered.partition(b"\r\n\r\n")
    (length,) = (int(found) for found in re.findall(rb"content-length: (\d+)", head))
    assert statuses(head) == [200]
    assert len(json.loads(after[:length])["predictions"]) == 500
    assert statuses(after[length:]) in ([], [400])


def test_endless_requests_without_waiting_for_an_answer_end_the_connection(live: Live) -> None:
    before = [worker.memory_info().rss for worker in live.workers()]
    answered = live.talk(b"GET /model HTTP/1.1\r\n\r\n" * 100_000, pause=0)
    assert len(statuses(answered)) < 100_000
    (worker,) = live.workers()
    assert worker.memory_info().rss - before[0] < 50_000_000


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("http://endpoint/predict", 200),
        ("/%70redict", 200),
        ("/predict?", 200),
        ("/predict?a=%00%FF", 200),
        ("//predict", 404),
        ("/predict/", 404),
        ("/predict%00", 404),
        ("/predict%2F..", 404),
        ("/../predict", 404),
        ("/%FF%FE", 404),
        ("/predict%", 404),
        ("/v2/models/%00/infer", 404),
        ("/predict\x00", 400),
        ("/pre dict", 400),
        ("*", 404),
        ("predict", 400),
    ],
)
def test_a_path_is_what_it_spells_or_nothing(live: Live, target: str, expected: int) -> None:
    answered = live.talk(request(BODY, "Connection: close", target=target))
    assert statuses(answered) == [expected], answered


def test_files_of_the_page_are_all_that_can_be_fetched(live: Live) -> None:
    for step in ("..", "%2e%2e", "%2e%2e%2f..", "..%5c..", "//"):
        target = "/static_content/" + "/".join([step] * 9) + "/etc/passwd"
        answered = live.talk(request(b"", "Connection: close", target=target, method="GET"))
        assert statuses(answered) == [404]


@pytest.mark.parametrize(
    "target", ["/", "/model", "/docs", "/docs.json", "/metrics", "/livez", "/readyz", "/v2"]
)
def test_head_is_get_without_the_body(live: Live, target: str) -> None:
    answered = live.talk(request(b"", "Connection: close", target=target, method="HEAD"))
    assert statuses(answered) == [200], answered
    _, _, body = answered.partition(b"\r\n\r\n")
    assert body == b""


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method_is_refused_and_told_the_right_one(live: Live, method: str) -> None:
    answered = live.talk(request(BODY, "Connection: close", method=method))
    assert statuses(answered) == [405]
    assert b"allow: POST\r\n" in answered
    assert statuses(live.talk(request(b"", "Connection: close", target="/no", method=method))) in (
        [404],
        [405],
    )


@pytest.mark.parametrize("start", [b"GET", b"NONSENSE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 100])
def test_what_is_no_http_is_told_so(live: Live, start: bytes) -> None:
    answered = live.talk(start + b"\r\n\r\n")
    assert statuses(answered) in ([400], []), answered


def test_a_client_of_http_1_0_is_answered_and_let_go(live: Live) -> None:
    answered = live.talk(request(BODY).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert statuses(answered) == [200]
    assert b"connection: close\r\n" in answered


def test_who_waits_to_be_told_to_go_on_is_told(live: Live) -> None:
    head = request(b"", f"Content-Length: {len(BODY)}", "Expect: 100-continue", "Connection: close")
    with socket.create_connection(("127.0.0.1", live.port)) as caller:
        caller.sendall(head)
        assert caller.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(BODY)
        assert statuses(caller.recv(65_536)) == [200]
    large = request(b"", "Content-Length: 9000000", "Expect: 100-continue", "Connection: close")
    assert statuses(live.talk(large)) == [413]


@pytest.mark.parametrize(
    "headers",
    [
        ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"],
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB"],
    ],
    ids=["websocket", "h2c"],
)
def test_who_offers_to_speak_something_else_is_answered_as_they_asked(live: Live, headers: list[str]) -> None:
    whole = request(BODY, *headers)
    for pieces in ([whole], [whole[: -len(BODY)], BODY]):
        answered = live.talk(*pieces, wait=2)
        assert statuses(answered) == [200], answered
    again = live.talk(whole + request(BODY), wait=2)
    assert set(statuses(again)) == {200}


def test_clients_that_hang_up_leave_nothing_behind(live: Live) -> None:
    batch = json.dumps({"rows": [EXAMPLE] * 1_000}).encode()
    whole = request(batch, target="/predict_batch")
    for sent in (whole[:20], whole[:300], whole[:-1], whole, whole * 3):
        for hard in (False, True):
            with socket.create_connection(("127.0.0.1", live.port)) as caller:
                if hard:
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                caller.sendall(sent)


def test_a_body_that_is_too_large_is_refused_in_words_that_arrive(live: Live) -> None:
    large = b" " * 9_000_000
    chunks = b"".join(b"%x\r\n%b\r\n" % (100_000, b" " * 100_000) for _ in range(90)) + b"0\r\n\r\n"
    for whole in (request(large), request(b"", "Transfer-Encoding: chunked") + chunks):
        with socket.create_connection(("127.0.0.1", live.port)) as caller:
            caller.sendall(whole)
            answered = caller.recv(65_536)
            assert statuses(answered) == [413]
            # The connection is still of use.
            caller.sendall(request(BODY))
            assert statuses(caller.recv(65_536)) == [200]


@pytest.mark.slow
def test_who_takes_nothing_of_an_answer_is_given_up(live: Live) -> None:
    large = request(b"", target="/static_content/swagger-ui-bundle.js", method="GET")
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.connect(("127.0.0.1", live.port))
        port = caller.getsockname()[1]
        (worker,) = live.workers()
        caller.sendall(large * 20)
        began = time.monotonic()
        while any(held.raddr and held.raddr.port == port for held in worker.net_connections()):
            assert time.monotonic() - began < UNREAD_SECONDS + 10
            time.sleep(0.5)
        assert time.monotonic() - began > UNREAD_SECONDS - 1
