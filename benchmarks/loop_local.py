"""The loop on this machine: `watch` in an empty home."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from benchmarks.loop_month import USE_CASE, Month

if TYPE_CHECKING:
    import httpx

PROJECT = Path(__file__).resolve().parents[1]
EVERY = "20s"


@dataclass(frozen=True)
class Local:
    """`watch` as a process that says what it does, round by round."""

    source: Path
    stdout: IO[str]

    def arrive(self, file: Path) -> None:
        _arrive(file, self.source)

    def until(self, month: Month, file: str) -> None:
        for line in self.stdout:
            said = json.loads(line)
            _take(month, said)
            retrained = said["retrain"]
            if "error" in retrained:
                raise SystemExit(f"A round failed: {retrained['error']}")
            if file in retrained["evidence"]["files"]:
                month.found_serving(retrained["evidence"])
                if retrained["decision"] == "nothing":
                    return
        raise SystemExit("watch ended by itself.")

    @contextmanager
    def endpoint(self) -> Iterator[httpx.Client]:
        import httpx

        cases = _run("status")["use_cases"]
        (address,) = [case["endpoint"]["address"] for case in cases if case["use_case"] == USE_CASE]
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as http:
            yield http

    def model(self, version: int) -> Any:
        import settings
        from stacks import session
        from tracking import registry

        session.connect(settings.read())
        return registry.load(registry.find(USE_CASE, str(version))).model


@contextmanager
def place(folder: Path, first: Path, options: list[str]) -> Iterator[Local]:
    """An empty home, and a process that watches a folder with the first month."""
    source = folder / "trips"
    source.mkdir()
    _arrive(first, source)
    with _home(folder / "home"), _watching(source, options, folder) as stdout:
        yield Local(source, stdout)


def _arrive(file: Path, source: Path) -> None:
    draft = source / f".{file.name}"
    shutil.copyfile(file, draft)
    draft.rename(source / file.name)


def _take(month: Month, said: dict[str, Any]) -> None:
    checked, retrained = said["monitor"], said["retrain"]
    check = checked.get("check") or {}
    print(f"  {said['at']} check: {check.get('verdict') or checked.get('error')}", flush=True)
    print(f"  {said['at']} {retrained.get('decision')}: {retrained.get('reasons')}", flush=True)
    if checked.get("new"):
        month.checked(check["verdict"], check["findings"])
    if retrained.get("decision") in ("retrain", "release"):
        month.decided(retrained["decision"], retrained["reasons"], retrained.get("training"))


@contextmanager
def _home(home: Path) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    os.environ |= {"MODELYARD_HOME": str(home), "MODELYARD_ENDPOINT_PORT": str(port)}
    try:
        yield
    finally:
        _run("down")


@contextmanager
def _watching(source: Path, options: list[str], folder: Path) -> Iterator[IO[str]]:
    command = ["watch", USE_CASE, "--source", str(source), "--every", EVERY, "--json", *options]
    with (
        (folder / "watch.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "run.py", *command], cwd=PROJECT, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.send_signal(signal.SIGTERM)
            print(f"watch ended with exit code {process.wait()}")


def _run(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "run.py", *arguments, "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document
