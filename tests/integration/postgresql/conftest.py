"""Processes with a ZenML store of their own: within one process there is only ever one store.

They need nothing of the rest of the project: ZenML, psycopg2, pytest and PostgreSQL's programs will do.

    pytest tests/integration/postgresql --confcutdir=tests/integration/postgresql
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.postgresql import servers

PROJECT = Path(__file__).parents[3]
SECONDS = 400


@dataclass(frozen=True)
class Script:
    """A running script of this folder."""

    process: subprocess.Popen[str]
    log: Path

    def ended(self) -> str:
        """What it printed, once it has ended well."""
        output, _ = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, self.log.read_text()[-5_000:]
        return output

    def ready(self) -> str:
        """Wait until it says so; what it printed before."""
        assert self.process.stdout is not None
        before = ""
        for line in self.process.stdout:
            if line == "ready\n":
                return before
            before += line
        raise AssertionError(before[-5_000:] + self.log.read_text()[-5_000:])

    def go(self) -> None:
        """Let a script go on that is ready."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


Start = Callable[..., Script]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A server that these tests share."""
    with servers.running(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def database(server: servers.Server) -> Iterator[str]:
    """URL of an empty database, dropped after the test."""
    with servers.database(server.url()) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(server: servers.Server) -> Iterator[str]:
    """URL of a database that a module's tests share."""
    with servers.database(server.url()) as url:
        yield url


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`start("script", url, *arguments, **environment)` runs `script.py` of this folder on that store.

    It is this Python or that of another environment, and is killed at the end.
    """
    started: list[subprocess.Popen[str]] = []

    def start(
        script: str, url: str, *arguments: str, python: str = sys.executable, **environment: str
    ) -> Script:
        folder = tmp_path_factory.mktemp(script)
        log = folder / "log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [python, str(Path(__file__).with_name(f"{script}.py")), *arguments],
                cwd=PROJECT,
                env=_environment(url, folder) | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        started.append(process)
        return Script(process, log)

    yield start
    for process in started:
        with process:  # closes its pipes and waits for its end
            process.kill()


def _environment(url: str, folder: Path) -> dict[str, str]:
    """This process's environment, of ZenML's variables only those set here."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ZENML_")}
    return plain | {
        "PYTHONPATH": str(PROJECT),
        "ZENML_STORE_URL": url,
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        "ZENML_CUSTOM_SOURCE_ROOT": str(Path(__file__).parent),
        "ZENML_SECRETS_STORE_TYPE": "sql",
        "ZENML_SECRETS_STORE_ENCRYPTION_KEY": "0" * 64,
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "ERROR",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "OMP_NUM_THREADS": "1",
    }
