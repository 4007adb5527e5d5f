"""What the documentation says of commands, settings and folders is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import generate
from settings import PROJECT


@pytest.mark.parametrize("page", generate.pages(), ids=lambda page: page.name)
def test_a_generated_page_is_what_the_code_says(page: Path) -> None:
    assert page.read_text() == generate.pages()[page], "run: make docs"


@pytest.mark.parametrize(
    "file", sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]), ids=lambda f: f.name
)
def test_links_between_pages_lead_somewhere(file: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []


def test_the_readme_has_every_folder_on_its_map() -> None:
    tracked = {path.parent.name for path in PROJECT.glob("*/*") if path.suffix in {".py", ".md"}}
    folders = {name for name in tracked if not name.startswith((".", "_"))}
    readme = (PROJECT / "README.md").read_text()
    assert [name for name in sorted(folders) if f"{name}/" not in readme] == []


def test_every_make_target_that_the_pages_name_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for file in [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]:
        assert set(re.findall(r"`make ([a-z]+)", file.read_text())) <= targets
