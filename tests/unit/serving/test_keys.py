"""API keys: who is let in, what is kept of a key, and files that change under a running endpoint."""

from __future__ import annotations

import hashlib
import multiprocessing
import re
from pathlib import Path

import pytest

from errors import UsageError
from serving import keys
from serving.keys import Keys


def add(path: Path, name: str, *rights: str) -> bytes:
    """A new key, as its owner presents it."""
    made = []

    def make(text: str) -> str:
        text, key = keys.added(text, name, rights or ["predict"])
        made.append(key.encode())
        return text

    keys.change(path, make)
    return made[0]


def add_ten(path: Path, prefix: str) -> None:
    for number in range(10):
        add(path, f"{prefix}-{number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "endpoints" / "taxi.keys"


def test_without_a_file_or_with_an_empty_one_everybody_is_let_in(path: Path) -> None:
    assert Keys(None).allows(None, "predict").status == 200
    assert Keys(path).allows(None, "outcomes").status == 200
    path.parent.mkdir()
    path.write_text("\n")
    assert Keys(path).allows(b"whatever", "predict").status == 200


def test_a_key_is_let_in_for_its_rights_alone(path: Path) -> None:
    web, batch = add(path, "web"), add(path, "batch", "predict", "outcomes")
    held = Keys(path)
    assert held.allows(web, "predict") == (200, "web")
    assert held.allows(web, "outcomes") == (403, "web")
    assert held.allows(batch, "outcomes") == (200, "batch")
    for wrong in (None, b"", web[:-1], web + b"x", b"my_web_", b"\xff\x00", web.upper()):
        assert held.allows(wrong, "predict") == (401, None)


def test_a_key_is_told_by_its_form_and_only_its_hash_is_kept_for_the_owners_eyes(path: Path) -> None:
    key = add(path, "web-shop")
    assert re.fullmatch(rb"my_web-shop_[A-Za-z0-9_-]{43}", key)
    text = path.read_text()
    assert key.decode().removeprefix("my_web-shop_") not in text
    assert hashlib.sha256(key).hexdigest() in text
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_added_or_revoked_counts_from_the_next_look_on(path: Path) -> None:
    held = Keys(path)
    web = add(path, "web")
    assert held.allows(None, "predict").status == 200
    held.refresh()
    assert held.allows(None, "predict").status == 401
    assert held.allows(web, "predict").status == 200
    keys.change(path, lambda text: keys.revoked(text, "web"))
    held.refresh()
    assert held.allows(web, "predict").status == 401


def test_revoking_the_last_key_does_not_open_the_endpoint(path: Path) -> None:
    web = add(path, "web")
    keys.change(path, lambda text: keys.revoked(text, "web"))
    assert Keys(path).allows(web, "predict").status == 401
    assert Keys(path).allows(None, "predict").status == 401


@pytest.mark.parametrize("damage", ["web", "", "web 12 predict 2026-11-26", "\x00\xff"])
def test_a_file_that_is_damaged_while_it_serves_changes_nothing_and_is_said(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    web = add(path, "web")
    held = Keys(path)
    path.write_bytes(damage.encode("latin-1"))
    held.refresh()
    assert held.allows(web, "predict").status == 200
    assert held.allows(None, "predict").status == 401
    assert "The API keys stay as they were" in caplog.text
    caplog.clear()
    held.refresh()
    assert caplog.text == "", "it is said once"
    path.unlink()
    held.refresh()
    assert held.allows(None, "predict").status == 401, "nor does a file that is gone open it"


def test_an_endpoint_does_not_begin_with_a_damaged_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("# name sha256 rights created\nweb secret predict 2026-11-26\n")
    with pytest.raises(UsageError, match="Line 2 of the keys is damaged") as raised:
        Keys(path)
    assert "secret" not in str(raised.value)


def test_a_folder_that_kubernetes_swaps_by_a_link_is_seen(tmp_path: Path) -> None:
    for day in ("first", "second"):
        (tmp_path / day).mkdir()
    first, second = (add(tmp_path / day / "keys", "web") for day in ("first", "second"))
    (tmp_path / "..data").symlink_to("first")
    (tmp_path / "keys").symlink_to("..data/keys")
    held = Keys(tmp_path / "keys")
    assert held.allows(first, "predict").status == 200
    (tmp_path / "..data_tmp").symlink_to("second")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    held.refresh()
    assert held.allows(first, "predict").status == 401
    assert held.allows(second, "predict").status == 200


def test_two_who_write_at_once_lose_none_of_their_keys(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=add_ten, args=(path, name)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    names = {entry.name for entry in keys.parse(path.read_text())}
    assert names == {f"{side}-{number}" for side in ("left", "right") for number in range(10)}


@pytest.mark.parametrize(
    ("name", "rights", "message"),
    [
        ("web", ["predict"], "There is a key web already"),
        ("Web", ["predict"], "'Web' is no name of a key"),
        ("a b", ["predict"], "'a b' is no name of a key"),
        ("shop", ["admin"], "Rights of a key are predict and outcomes"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_the_file_stays(
    path: Path, name: str, rights: list[str], message: str
) -> None:
    add(path, "web")
    before = path.read_text()
    with pytest.raises(UsageError, match=message):
        add(path, name, *rights)
    assert path.read_text() == before


def test_revoking_a_key_that_is_not_there_says_which_are(path: Path) -> None:
    add(path, "web")
    with pytest.raises(UsageError, match="There is no key shop; those there are: web"):
        keys.change(path, lambda text: keys.revoked(text, "shop"))
