"""Service accounts and their API keys: made, changed, rotated, used and put out of use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from asking import Question
from zenml.client import Client


def questions(client: Client) -> Iterator[Question]:
    """The life of two keys of one account."""
    name = "robot"
    keys: dict[str, str] = {}

    def made(key: str) -> Any:
        found = client.create_api_key(name, key, description="100%")
        keys[key] = found.key or ""
        return _shown(found)

    def rotated(key: str, minutes: int) -> Any:
        found = client.rotate_api_key(name, key, retain_period_minutes=minutes)
        keys[f"{key} rotated"] = found.key or ""
        return [*_shown(found), keys[key] != found.key]

    yield "an account", lambda: client.create_service_account(name, description="%").description
    yield "the same account again", lambda: client.create_service_account(name).name
    yield "a key", lambda: made("first")
    yield "another key", lambda: made("Second")
    yield "the first key again", lambda: made("first")
    yield "a key by its name", lambda: _shown(client.get_api_key(name, "first"))
    yield "a key by part of its name", lambda: _shown(client.get_api_key(name, "Sec"))
    yield "rotate a key", lambda: rotated("first", 0)
    yield "rotate a key and retain the old one", lambda: rotated("Second", 10)
    yield "rename a key", lambda: _shown(client.update_api_key(name, "Second", name="first"))
    yield "change a key", lambda: _shown(client.update_api_key(name, "first", description="", active=False))
    yield "active keys", lambda: [key.name for key in client.list_api_keys(name, active=True)]
    yield "all keys", lambda: [_shown(key) for key in client.list_api_keys(name, sort_by="name")]
    yield "an inactive account", lambda: client.update_service_account(name, active=False).active
    yield "delete a key", lambda: client.delete_api_key(name, "first")
    yield "keys that are left", lambda: [key.name for key in client.list_api_keys(name)]
    yield "a key that is not there", lambda: client.delete_api_key(name, str(UUID(int=0)))


def _shown(key: Any) -> Any:
    return [key.name, key.description, key.active, key.retain_period_minutes, bool(key.last_rotated)]
