"""Settings from the environment: what is wrong is named, a secret is not repeated."""

from __future__ import annotations

import pytest

import settings
from errors import UsageError


def test_a_platforms_keys_and_bucket_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"PASSWORD": "twelve signs", "ENCRYPTION_KEY": "e" * 64, "SIGNING_KEY": "s" * 64}
    for name, value in {**given, "ARTIFACTS": "s3://bucket"}.items():
        monkeypatch.setenv(f"MODELYARD_{name}", value)
    found = settings.read()
    assert found.artifacts == "s3://bucket"
    assert found.password is not None
    assert found.password.get_secret_value() == "twelve signs"
    assert not any(value in repr(found) for value in given.values())


@pytest.mark.parametrize("name", ["PASSWORD", "ENCRYPTION_KEY", "SIGNING_KEY", "DATABASE_URL"])
def test_a_secret_that_will_not_do_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"MODELYARD_{name}", "oh-no")
    with pytest.raises(UsageError, match=f"MODELYARD_{name}") as refused:
        settings.read()
    assert "oh-no" not in str(refused.value)


@pytest.mark.parametrize("url", ["bucket", "s3://", "s3://bucket/folder", "gs://bucket"])
def test_artifacts_are_in_a_bucket_of_their_own(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MODELYARD_ARTIFACTS", url)
    with pytest.raises(UsageError, match="MODELYARD_ARTIFACTS"):
        settings.read()
