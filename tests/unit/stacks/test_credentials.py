"""The login and the keys: made once and kept, unless the settings give them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from settings import Settings
from stacks import session
from stacks.platform import credentials

PASSWORD, SIGNING, ENCRYPTION = SecretStr("p" * 12), SecretStr("s" * 32), SecretStr("e" * 32)


def test_what_is_made_is_kept_and_is_new_only_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first, made = credentials.ensure(settings)
    assert made
    assert credentials.ensure(settings) == (first, False)
    assert session.encryption_key(settings) == session.encryption_key(settings)


def test_what_the_settings_give_is_used_and_written_nowhere(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path / "home", password=PASSWORD, signing_key=SIGNING, encryption_key=ENCRYPTION
    )
    login, made = credentials.ensure(settings)
    assert (login.password, login.signing_key, made) == (PASSWORD, SIGNING, False)
    assert session.encryption_key(settings) == ENCRYPTION.get_secret_value()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("given", [{"password": PASSWORD}, {"signing_key": SIGNING}])
def test_what_they_leave_out_is_made_and_kept(tmp_path: Path, given: dict[str, SecretStr]) -> None:
    settings = Settings(home=tmp_path, **given)
    login, made = credentials.ensure(settings)
    assert made == ("password" not in given)
    assert all(getattr(login, name) == value for name, value in given.items())
    assert credentials.ensure(settings) == (login, False)
    kept, _ = credentials.ensure(Settings(home=tmp_path))
    assert not any(getattr(kept, name) == value for name, value in given.items())


def test_a_keys_name_tells_keys_apart_and_nothing_of_them() -> None:
    one, other = session.name_of_key("1" * 64), session.name_of_key("2" * 64)
    assert one != other
    assert "1111" not in one
