"""Signatures are those of Standard Webhooks, and the receiver of docs/events.md tells good ones from bad."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from events import signature
from settings import Settings
from tests.integration.events.receiver import KEY, documented

OTHER = "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="


def signed(body: bytes, keys: str = KEY, at: float | None = None) -> dict[str, str]:
    return signature.headers(signature.keys(keys), "an id", body, int(at or time.time()))


def test_the_example_of_the_specification() -> None:
    keys = signature.keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signature.headers(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1_614_265_330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_documented_receiver_takes_what_is_signed_and_nothing_else() -> None:
    verify: Callable[..., str] = documented("verify")
    body = b'{"id": "an id"}'
    assert verify(signed(body), body, KEY) == "an id"
    # While one key takes another's place, both sign.
    assert verify(signed(body, f"{OTHER} {KEY}"), body, KEY) == "an id"
    with pytest.raises(ValueError, match="signature"):
        verify(signed(body), body + b" ", KEY)
    with pytest.raises(ValueError, match="signature"):
        verify(signed(body), body, OTHER)
    with pytest.raises(ValueError, match="signature"):
        verify(signed(body) | {"webhook-id": "another"}, body, KEY)
    with pytest.raises(ValueError, match="signature"):
        verify(signed(body) | {"webhook-timestamp": str(int(time.time()) - 1)}, body, KEY)
    with pytest.raises(ValueError, match="five minutes"):
        verify(signed(body, at=time.time() - 301), body, KEY)


@pytest.mark.parametrize("key", ["", "short", "MDEyMw==", "not base64 at all, but long enough by far"])
def test_a_key_that_is_none_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELYARD_EVENTS", "https://hooks.example.com")
    monkeypatch.setenv("MODELYARD_EVENTS_KEY", key)
    with pytest.raises(ValidationError, match="openssl rand"):
        Settings()


def test_targets_need_a_key_and_are_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_EVENTS", "https://hooks.example.com")
    with pytest.raises(ValidationError, match="is needed to sign events with"):
        Settings()
    monkeypatch.setenv("MODELYARD_EVENTS_KEY", KEY)
    monkeypatch.setenv("MODELYARD_EVENTS", "mailto:ann@example.com")
    with pytest.raises(ValidationError, match="a target is"):
        Settings()
    monkeypatch.setenv("MODELYARD_EVENTS", "https://one.example.com http://two/x?y=z")
    assert Settings().events is not None
    monkeypatch.setenv("MODELYARD_EVENTS", "kafka:models.changed")
    monkeypatch.delenv("MODELYARD_EVENTS_KEY")
    assert Settings().events is not None
