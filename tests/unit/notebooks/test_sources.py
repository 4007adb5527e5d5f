"""Notebooks are kept without outputs, and the copies in docs/ are of the notebooks there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from notebooks.render import HERE, PAGES, moved

NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
EACH = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
MOST_BYTES = 100_000


def cells(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return found


def test_there_are_four_of_them() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == ["1", "2", "3", "4"]


@EACH
def test_a_notebook_has_no_outputs(notebook: Path) -> None:
    for cell in cells(notebook):
        assert not cell.get("outputs"), (
            "clear them: jupyter nbconvert --clear-output --inplace notebooks/*.ipynb"
        )
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}


@EACH
def test_its_copy_has_the_same_cells(notebook: Path) -> None:
    page = (PAGES / f"{notebook.stem}.md").read_text()
    code = [block.strip() for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]
    expected = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert code == ["".join(cell["source"]).strip() for cell in expected], "run: make notebook-pages"
    for cell in cells(notebook):
        if cell["cell_type"] == "markdown":
            text = moved("".join(cell["source"]).strip())
            assert text in page, "run: make notebook-pages"
            links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
            assert [link for link in links if not (PAGES / link).exists()] == []


@EACH
def test_its_copy_is_small_and_shows_plots_and_nothing_of_the_machine_that_made_it(notebook: Path) -> None:
    page = (PAGES / f"{notebook.stem}.md").read_text()
    images = re.findall(r"!\[png\]\((.+?)\)", page)
    assert images
    assert all((PAGES / image).stat().st_size < MOST_BYTES for image in images)
    assert "Traceback" not in page
    assert not re.search(r"/(home|root|tmp|work|Users)/", page)
