"""Copy the notebooks, run from the top, into docs/notebooks, as Markdown with their plots as PNG.

`make notebook-pages` runs it, on a home folder of its own; a test fails when a copy's cells are not the
notebook's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PAGES = HERE.parent / "docs" / "notebooks"


def environment(home: Path) -> dict[str, str]:
    """What a kernel needs: the project and its client to import, and a home folder to work in."""
    paths = [str(HERE.parent), str(HERE.parent / "client")]
    # Links in outputs would lead to a dashboard that is gone by then.
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "MODELYARD_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
    }


def main() -> None:
    """Write the copies of the notebooks that are named, or of all, in their order."""
    notebooks = [HERE / Path(name).name for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb"))
    with tempfile.TemporaryDirectory() as folder:
        around = environment(Path(folder))
        try:
            for notebook in notebooks:
                _render(notebook, around)
        finally:
            subprocess.run([sys.executable, "run.py", "stop"], check=True, cwd=HERE.parent, env=around)


def _render(notebook: Path, around: Mapping[str, str]) -> None:
    shutil.rmtree(PAGES / f"{notebook.stem}_files", ignore_errors=True)
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "markdown", "--output-dir", str(PAGES)]
    subprocess.run([*command, str(notebook)], check=True, cwd=HERE, env=around)
    page = PAGES / f"{notebook.stem}.md"
    # pandas gives each of its tables a style, which a page of Markdown shows as text.
    text = re.sub(r"<style scoped>.*?</style>\n", "", page.read_text(), flags=re.DOTALL)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    page.write_text(moved(text.rstrip() + "\n"))


def moved(text: str) -> str:
    """Links of a notebook as they lead from where its copy is, to copies of the others."""
    return re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", text.replace("](../docs/", "](../"))


if __name__ == "__main__":
    main()
