"""Alerts fire when they should and else do not, and nothing that is watched is missing from the endpoint."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import LogState, Metrics
from serving.ranges import Ranges
from settings import PROJECT
from stacks.platform.check_metrics import exposition
from tests.unit.monitoring.test_check_metrics import FOUND, recorded
from usecases.titanic.contract import PassengerRequest

FOLDER = PROJECT / "k8s" / "monitoring"
RULES = FOLDER / "rules.yaml"
DASHBOARD = FOLDER / "dashboard.json"

PROMTOOL = shutil.which("promtool") or ""
with_promtool = pytest.mark.skipif(
    not PROMTOOL, reason="promtool is not on PATH; on Debian: apt install prometheus"
)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for rule in rules()] + [
        target["expr"] for panel in panels for target in panel["targets"]
    ]


def promtool(*arguments: str, cwd: Path | None = None) -> None:
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


@with_promtool
def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", "--lint-fatal", str(RULES))


@with_promtool
def test_alerts_fire_in_trouble_and_neither_on_well_served_nor_on_idle_endpoints(tmp_path: Path) -> None:
    stories = (Path(__file__).parent / "alerts.yaml").read_text().replace("RULES", str(RULES))
    (tmp_path / "alerts.yaml").write_text(stories)
    promtool("test", "rules", "alerts.yaml", cwd=tmp_path)


@with_promtool
def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    found = [re.sub(r"\$__rate_interval", "5m", expression) for expression in expressions()]
    recorded = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(found)]
    (tmp_path / "panels.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    promtool("check", "rules", str(tmp_path / "panels.yaml"))


def test_every_alert_says_what_is_wrong_how_much_and_what_to_do() -> None:
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]


def test_alerts_and_dashboard_watch_only_what_endpoints_and_checks_tell() -> None:
    ranges = Ranges(PassengerRequest, {"rows": 1, "columns": {"Pclass": {"missing": 0, "counts": {"1": 1}}}})
    metrics = Metrics(
        None, {"model": "titanic", "version": "1"}, ranges, lambda: LogState(0, {}, 0, 0.0, True)
    )
    told = (metrics.exposition(), exposition([recorded(FOUND)]))
    exposed = {
        sample.name
        for text in told
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
    watched = {name for expression in expressions() for name in re.findall(r"modelyard_\w+", expression)}
    assert watched - exposed == set()
    assert {name for name in exposed if name.endswith("_total")} - watched == set(), "counted for nobody"


def test_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
