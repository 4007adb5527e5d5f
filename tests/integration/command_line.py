"""`python run.py …` as a person calls it, for tests that walk whole ways."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from settings import PROJECT


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    document: dict[str, Any]
    stderr: str


class CommandLine:
    """`python run.py …` in a home folder of its own, with endpoints from a port of its own on."""

    def __init__(self, home: Path, port: int, **settings: str) -> None:
        self.home = home
        self.environment = os.environ | settings
        self.environment |= {"MODELYARD_HOME": str(home), "MODELYARD_ENDPOINT_PORT": str(port)}
        self.environment.pop("PGPASSWORD", None)

    def __call__(self, *arguments: str) -> Done:
        done = self._run(*arguments, "--json")
        assert done.stdout, done.stderr
        return Done(done.returncode, json.loads(done.stdout), done.stderr)

    def tool(self, *arguments: str) -> str:
        """What one of the tools' own command lines prints."""
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def url(self, database: str) -> str:
        """URL of a database on the home's own server."""
        folder = self.home / "postgresql"
        password, port = ((folder / name).read_text() for name in ("password", "port"))
        return f"postgresql://modelyard:{password}@127.0.0.1:{port}/{database}"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "run.py", *arguments]
        return subprocess.run(
            command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False
        )


def read(report: Callable[[dict[str, Any]], RenderableType], done: Done) -> str:
    """What a person reads of a document in a pipe, where lines are not wrapped."""
    console = Console(file=io.StringIO(), width=200, soft_wrap=True)
    with console.capture() as captured:
        console.print(report(done.document), highlight=False)
    return captured.get()
