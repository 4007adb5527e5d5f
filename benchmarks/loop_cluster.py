"""The loop in a cluster: pods that a schedule starts, on a platform that is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.loop_month import USE_CASE, Month
from tests.integration.command_line import CommandLine
from tests.kubernetes import data, endpoints
from tests.kubernetes.cluster import Platform, installed, wait_for
from tests.kubernetes.data import Trips

if TYPE_CHECKING:
    import httpx

EVERY = "* * * * *"
PATIENCE = 1_200
"""Seconds within which a month has been learnt from, or not."""


@dataclass
class Cluster:
    """What its records say is done by the pods of a schedule."""

    platform: Platform
    trips: Trips
    run: CommandLine
    known: set[tuple[str, int]] = field(default_factory=set)
    """Checks and decisions that a month has noted."""

    def arrive(self, file: Path) -> None:
        self.trips.arrive(file)

    def until(self, month: Month, file: str) -> None:
        def settled() -> bool:
            for check in reversed(self._asked("checks")):
                if self._new("check", check["id"]):
                    print(f"  {check['at']} check: {check['verdict']}", flush=True)
                    month.checked(check["verdict"], check["found"]["findings"])
            decisions = self._asked("decisions")
            for one in reversed(decisions):
                if one["status"] != "begun" and self._new("decision", one["id"]):
                    print(f"  {one['at']} {one['decision']} {one['status']}: {one['reasons']}", flush=True)
                    if one["status"] != "done":
                        raise SystemExit(f"A round failed: {one['result']}")
                    if one["decision"] != "nothing":
                        month.decided(one["decision"], one["reasons"], one["result"].get("training"))
            newest = decisions[0] if decisions else None
            if newest is None or newest["decision"] != "nothing" or file not in newest["evidence"]["files"]:
                return False
            month.found_serving(newest["evidence"])
            return True

        wait_for(settled, lambda: f"the end of what {file} begins; {self._asked('decisions')}", PATIENCE, 5)

    def endpoint(self) -> AbstractContextManager[httpx.Client]:
        return endpoints.at(f"service/{USE_CASE}", self.platform.inference)

    def model(self, version: int) -> Any:
        from settings import Settings
        from stacks.kubernetes import session
        from tracking import registry

        session.connect(Settings(home=self.run.home, kube_namespace=self.platform.namespace))
        return registry.load(registry.find(USE_CASE, str(version))).model

    def _asked(self, what: str) -> list[dict[str, Any]]:
        done = self.run("--stack", "kubernetes", what, USE_CASE)
        if done.code:
            raise SystemExit(f"`{what}` failed: {done.document}")
        found: list[dict[str, Any]] = done.document[what]
        return found

    def _new(self, what: str, number: int) -> bool:
        if (what, number) in self.known:
            return False
        self.known.add((what, number))
        return True


@contextmanager
def place(folder: Path, first: Path, options: list[str]) -> Iterator[Cluster]:
    """A platform with nothing on it but the first month and a schedule."""
    with installed() as platform, data.trips(platform) as trips:
        trips.arrive(first)
        run = platform.command_line(folder)
        line = ("schedule", USE_CASE, "--cron", EVERY, "--watch", "--source", trips.url, *options)
        made = run("--stack", "kubernetes", *line)
        if made.code:
            raise SystemExit(f"There is no schedule: {made.document}")
        yield Cluster(platform, trips, run)
