"""`python run.py keys …`: a key is shown once, and never again."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from console import keys as console
from errors import UsageError
from serving.keys import Keys
from settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def read(document: console.Document) -> str:
    page = Console(width=200)
    with page.capture() as captured:
        page.print(console.report(document), highlight=False)
    return captured.get()


def test_a_key_is_shown_when_it_is_made_and_works_until_it_is_revoked(settings: Settings) -> None:
    assert "answers everybody" in read(console.keys(settings, "local", "taxi", None, None, []))
    made = console.keys(settings, "local", "taxi", "add", "web", ["predict", "outcomes"])
    assert made["key"] in read(made)
    held = Keys(settings.home / "endpoints" / "taxi.keys")
    assert held.allows(made["key"].encode(), "outcomes").status == 200

    listed = console.keys(settings, "local", "taxi", None, None, [])
    assert [(key["name"], key["rights"]) for key in listed["keys"]] == [("web", ["outcomes", "predict"])]
    assert set(listed["keys"][0]) == {"name", "rights", "created"}
    assert "my_web" not in read(listed)

    revoked = console.keys(settings, "local", "taxi", "revoke", "web", [])
    assert "answers nobody" in read(revoked)
    held.refresh()
    assert held.allows(made["key"].encode(), "predict").status == 401


@pytest.mark.parametrize(
    ("use_case", "action", "name", "rights", "message"),
    [
        ("taxi", "add", None, [], "Name the key: python run.py keys taxi add NAME"),
        ("taxi", "revoke", "web", ["predict"], "--right belongs to `add`"),
        ("bus", None, None, [], "bus"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: Settings, use_case: str, action: str | None, name: str | None, rights: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        console.keys(settings, "local", use_case, action, name, rights)
