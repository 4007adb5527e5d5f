"""The page of all benchmarks, docs/benchmarks.md: a section for each script."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def write(script: str, section: str, path: Path = PAGE) -> None:
    """Put a script's section into a page, in place of the one that was there."""
    begin, end = f"<!-- {script} -->", f"<!-- end of {script} -->"
    page = path.read_text() if path.exists() else "# Benchmarks\n"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before.rstrip()}\n\n{begin}\n\n{section}\n\n{end}\n{after.lstrip()}")


def machine() -> str:
    """What it was measured on."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} CPUs ({_processor()}), {memory:.0f} GiB of memory, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except FileNotFoundError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return models[0] if models else platform.machine()
