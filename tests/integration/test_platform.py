"""The platform on one machine: up, killed in every part, seen in a browser, down; one home for all tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from console import reports
from tests.integration.command_line import CommandLine, Done, read

SECONDS = 60


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    dashboard, mlflow, endpoints = _free_ports(3)
    command_line = CommandLine(
        tmp_path_factory.mktemp("platform"),
        endpoints,
        MODELYARD_DASHBOARD_PORT=str(dashboard),
        MODELYARD_MLFLOW_PORT=str(mlflow),
    )
    yield command_line
    command_line("down")


@pytest.fixture(scope="module")
def first(modelyard: CommandLine) -> Done:
    """The platform brought up where nothing was before."""
    return modelyard("up", "--detach")


@pytest.fixture(scope="module")
def login(first: Done) -> tuple[str, str]:
    return first.document["username"], first.document["password"]


def test_everything_answers_and_the_login_is_shown(first: Done) -> None:
    assert first.code == 0, first.stderr
    services = {one["service"]: one for one in first.document["services"]}
    assert services.keys() == {"keeper", "zenml", "mlflow"}
    assert all(one["ready"] for one in services.values())
    text = read(reports.up, first)
    assert services["zenml"]["address"] in text
    assert first.document["password"] in text


def test_all_of_it_takes_less_than_one_and_a_half_gigabytes(first: Done) -> None:
    assert sum(one["memory_mb"] for one in first.document["services"]) < 1_500


def test_the_password_is_shown_once_and_kept_from_everybody_else(
    modelyard: CommandLine, first: Done, login: tuple[str, str]
) -> None:
    again = modelyard("up", "--detach")
    assert again.code == 0, again.stderr
    assert again.document["already_running"]
    assert "password" not in again.document
    file = Path(again.document["password_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    _, password = login
    arguments = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not any(password in line for line in arguments)
    for kept in modelyard.home.rglob("*"):
        if kept.is_file() and kept != file and "postgresql" not in kept.parts:
            assert password.encode() not in kept.read_bytes(), kept


def test_both_pages_demand_the_login(first: Done, login: tuple[str, str]) -> None:
    zenml, mlflow = _address(first, "zenml"), _address(first, "mlflow")
    assert httpx.get(f"{zenml}/api/v1/current-user").status_code == 401
    assert (
        httpx.post(f"{zenml}/api/v1/login", data={"username": "default", "password": ""}).status_code == 401
    )
    assert _token(zenml, login)
    experiments = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
    assert httpx.get(experiments).status_code == 401
    assert httpx.get(experiments, auth=login).status_code == 200


def test_a_run_of_a_command_is_seen_in_the_dashboard_at_once(
    modelyard: CommandLine, first: Done, login: tuple[str, str]
) -> None:
    done = modelyard("example_pipeline")
    assert done.code == 0, done.stderr
    assert done.document["run"] in _runs(first, login)


def test_an_unmodified_zenml_client_reads_the_runs(
    first: Done, login: tuple[str, str], tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZENML_")} | {
        "ZENML_CONFIG_PATH": str(tmp_path),
        "ZENML_STORE_URL": _address(first, "zenml"),
        "ZENML_STORE_USERNAME": login[0],
        "ZENML_STORE_PASSWORD": login[1],
        "ZENML_ANALYTICS_OPT_IN": "false",
    }
    command = [Path(sys.executable).with_name("zenml"), "pipeline", "runs", "list", "--output", "json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example_pipeline" in done.stdout


@pytest.mark.parametrize("service", ["zenml", "mlflow", "keeper"])
def test_a_service_that_was_killed_comes_back(modelyard: CommandLine, first: Done, service: str) -> None:
    before = _service(modelyard, service)["pid"]
    os.kill(before, signal.SIGKILL)
    _until(lambda: _service(modelyard, service)["ready"] and _service(modelyard, service)["pid"] != before)


def test_postgresql_that_was_killed_comes_back_and_the_server_goes_on(
    modelyard: CommandLine, first: Done, login: tuple[str, str]
) -> None:
    pid = int((modelyard.home / "postgresql" / "data" / "postmaster.pid").read_text().splitlines()[0])
    runs = _runs(first, login)
    os.kill(pid, signal.SIGKILL)
    _until(lambda: modelyard("status").document["postgresql"] is not None)
    _until(lambda: _runs(first, login) == runs)


def test_an_endpoint_that_was_killed_comes_back_at_its_address(modelyard: CommandLine, first: Done) -> None:
    trained = modelyard("train", "taxi", "--candidates", "baseline,ridge")
    assert trained.code == 0, trained.stderr
    assert modelyard("release", "taxi").code == 0
    before = _endpoint(modelyard)
    os.kill(before["pid"], signal.SIGKILL)
    _until(lambda: _endpoint(modelyard)["ready"])
    after = _endpoint(modelyard)
    assert after["pid"] != before["pid"]
    assert after["address"] == before["address"]


def test_a_port_in_use_is_named_with_who_holds_it(
    modelyard: CommandLine, first: Done, tmp_path: Path
) -> None:
    other = CommandLine(
        tmp_path,
        _free_ports(1)[0],
        MODELYARD_DASHBOARD_PORT=_address(first, "zenml").rpartition(":")[2],
    )
    refused = other("up", "--detach")
    assert refused.code == 1
    assert "MODELYARD_DASHBOARD_PORT" in refused.document["error"]
    assert str(_service(modelyard, "zenml")["pid"]) in refused.document["error"]


def test_the_dashboard_shows_runs_and_their_plots_in_a_browser(
    modelyard: CommandLine, first: Done, login: tuple[str, str]
) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip(
            "SKIPPED LOUDLY: no Chromium here, so the dashboard was not looked at (apt install chromium)"
        )
    from docs.screenshots import browser, dashboard

    zenml = _address(first, "zenml")
    loaded: list[str] = []
    with browser(chromium, login) as page:
        page.on("response", lambda response: loaded.append(response.url))
        shown = dashboard(page, zenml, login, "train_taxi")
        page.goto(f"{zenml}/projects/default/runs")
        page.get_by_role("link", name="example_pipeline-").first.click()
        page.get_by_text("fill_in_missing_values").first.wait_for()
    assert "compete_ridge" in shown["run"]
    assert "Permutation importance" in shown["visualization"]
    elsewhere = [url for url in loaded if not url.startswith((zenml, "data:", "blob:", "about:"))]
    assert elsewhere == []


def test_the_pages_of_a_training_its_release_and_its_model_lead_to_each_other(
    first: Done, login: tuple[str, str]
) -> None:
    zenml, mlflow = _address(first, "zenml"), _address(first, "mlflow")
    training, release = (_metadata(first, login, f"{name}_taxi") for name in ("train", "release"))
    (run,) = re.findall(rf"{mlflow}/#/runs/([0-9a-f]{{32}})", training["mlflow_run"])
    assert training["model_version"] == release["model_version"] == f"{mlflow}/#/models/taxi/versions/1"
    assert httpx.get(f"{release['endpoint']}/readyz").status_code == 200

    back = rf"\[train_taxi-[^]]+\]\({zenml}/projects/default/runs/{training['id']}\)"
    api = f"{mlflow}/api/2.0/mlflow"
    tracked = httpx.get(f"{api}/runs/get", params={"run_id": run}, auth=login).json()["run"]
    tags = {tag["key"]: tag["value"] for tag in tracked["data"]["tags"]}
    assert re.search(back, tags["mlflow.note.content"])
    version = httpx.get(f"{api}/model-versions/get", params={"name": "taxi", "version": "1"}, auth=login)
    assert re.search(back, version.json()["model_version"]["description"])


def test_services_end_with_a_supervisor_that_was_killed_and_the_next_up_starts_them(
    modelyard: CommandLine, first: Done
) -> None:
    pids = [one["pid"] for one in modelyard("status").document["services"]]
    os.kill(int((modelyard.home / "platform" / "supervisord.pid").read_text()), signal.SIGKILL)
    _until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    again = modelyard("up", "--detach")
    assert again.code == 0, again.stderr
    assert not again.document["already_running"]


def test_logs_are_there_by_name(modelyard: CommandLine, first: Done) -> None:
    shown = modelyard("logs", "keeper")
    assert any("The endpoint of taxi serves again" in line for line in shown.document["lines"])
    unknown = modelyard("logs", "nothing")
    assert unknown.code == 2
    assert "keeper, mlflow" in unknown.document["error"]


def test_down_stops_all_of_it_and_up_brings_the_endpoints_back(modelyard: CommandLine, first: Done) -> None:
    before = modelyard("status").document
    endpoint = _endpoint(modelyard)
    down = modelyard("down")
    assert down.code == 0, down.stderr
    assert down.document == {"pages": True, "endpoints": ["taxi"], "postgresql": True, "embedded": True}
    pids = [endpoint["pid"], *(one["pid"] for one in before["services"])]
    assert not any(psutil.pid_exists(pid) for pid in pids)

    up = modelyard("up", "--detach")
    assert up.code == 0, up.stderr
    assert _endpoint(modelyard)["ready"]
    assert _endpoint(modelyard)["address"] == endpoint["address"]


def _token(zenml: str, login: tuple[str, str]) -> str:
    answer = httpx.post(f"{zenml}/api/v1/login", data={"username": login[0], "password": login[1]})
    return str(answer.json()["access_token"])


def _runs(first: Done, login: tuple[str, str]) -> list[str]:
    zenml = _address(first, "zenml")
    try:
        headers = {"Authorization": f"Bearer {_token(zenml, login)}"}
        runs = httpx.get(f"{zenml}/api/v1/runs", headers=headers)
        return [run["name"] for run in runs.json()["items"]]
    except (httpx.TransportError, KeyError):
        return []


def _metadata(first: Done, login: tuple[str, str], pipeline: str) -> dict[str, Any]:
    """What the page of the newest run of a pipeline says of it, and its id."""
    zenml = _address(first, "zenml")
    headers = {"Authorization": f"Bearer {_token(zenml, login)}"}
    wanted = {"pipeline": pipeline, "sort_by": "desc:created", "hydrate": "true"}
    (run, *_) = httpx.get(f"{zenml}/api/v1/runs", params=wanted, headers=headers).json()["items"]
    return {"id": run["id"], **run["metadata"]["run_metadata"]}


def _address(first: Done, service: str) -> str:
    return str(next(one["address"] for one in first.document["services"] if one["service"] == service))


def _service(modelyard: CommandLine, name: str) -> dict[str, Any]:
    services = modelyard("status").document["services"]
    found: dict[str, Any] = next(one for one in services if one["service"] == name)
    return found


def _endpoint(modelyard: CommandLine) -> dict[str, Any]:
    rows = modelyard("status").document["use_cases"]
    found: dict[str, Any] = next(row["endpoint"] for row in rows if row["use_case"] == "taxi")
    return found


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "It did not come true in time."
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
