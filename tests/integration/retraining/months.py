"""A home folder, and a folder that months of the bundled trips come to one by one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd

import usecases
from db import decisions, releases
from serving import client
from settings import PROJECT
from tests.integration.command_line import CommandLine, Done
from usecases.taxi import sources
from usecases.taxi.cleaning import PICKUP

QUICK = ("--candidates", "ridge")


class Loop:
    """A home folder, and a folder that months come to."""

    def __init__(self, folder: Path, port: int) -> None:
        self.modelyard = CommandLine(folder / "home", port)
        self.source = folder / "trips"
        self.source.mkdir()

    def month_comes(self, month: str) -> None:
        trips = pd.read_parquet(sources.SAMPLE)
        of_month = trips[trips[PICKUP].dt.strftime("%Y-%m") == month]
        draft = self.source / "draft"
        of_month.to_parquet(draft)
        draft.rename(self.source / f"green_tripdata_{month}.parquet")

    def retrain(self, *options: str) -> Done:
        return self.modelyard("retrain", "taxi", "--source", str(self.source), *QUICK, *options)

    def killed(self, at: str) -> None:
        """The same with --if-needed, killed at that moment."""
        command = [sys.executable, "-m", "tests.integration.retraining.killed", at, "retrain", "taxi"]
        done = subprocess.run(
            [*command, "--if-needed", "--source", str(self.source), *QUICK],
            cwd=PROJECT,
            env=self.modelyard.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    @property
    def url(self) -> str:
        return self.modelyard.url("modelyard")

    def newest(self) -> decisions.Recorded:
        return decisions.history(self.url, "taxi", limit=1)[0]

    def serving(self) -> int:
        """The version that answers, which is the one on record."""
        on_record = releases.serving(self.url, "taxi", "local")
        assert on_record is not None
        assert on_record.address is not None
        with client.connect(on_record.address) as endpoint:
            answer = endpoint.predict(dict(usecases.load("taxi").example))
        assert answer["model_version"] == on_record.model_version
        return on_record.model_version
