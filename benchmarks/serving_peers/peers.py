"""What is measured: how each server is installed and started, asked, and how its answer is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.serving_champion import PROJECT, Champion
from benchmarks.serving_load import HOST, Question, Server, serve
from benchmarks.serving_surroundings import Surroundings

LOCK = PROJECT / "serving" / "requirements.txt"
APPS = "benchmarks.serving_peers"
OURS = "Modelyard"
ECHO = "empty ASGI echo"
BARE = "bare ASGI, msgspec, compiled"
FASTAPI_COMPILED = "FastAPI, compiled"
FASTAPI = "FastAPI, scikit-learn"
BENTOML = "BentoML, its defaults"
KSERVE = "KServe SDK"
MLSERVER = "MLServer"
MLFLOW = "mlflow models serve"
FASTAPI_PIN = "fastapi==0.165.0"

# Of the applications that uvicorn runs.
_PACKAGES = {
    "fastapi_sklearn": ("uvicorn", "fastapi", "pydantic", "scikit-learn", "pandas"),
    "fastapi_compiled": ("uvicorn", "fastapi", "pydantic", "onnxruntime"),
    "bare": ("uvicorn", "msgspec", "onnxruntime"),
    "echo": ("uvicorn",),
}

Json = Any


@dataclass(frozen=True)
class Peer:
    """A server of the champion."""

    name: str
    about: str
    python: Path
    packages: Sequence[str]
    """Whose versions are worth telling."""
    command: Sequence[str]
    """Behind the Python."""
    environment: Mapping[str, str]
    folder: Path
    ask: Callable[[Mapping[str, Any]], Question]
    """Values of a row → the request."""
    read: Callable[[Json], float] | None
    """Answer → prediction; None when it makes none."""

    @contextmanager
    def serve(self, row: Mapping[str, Any]) -> Iterator[Server]:
        """Run it until it has answered for `row` and the block ends."""
        command = [str(self.python), *self.command]
        with serve(self.name, command, self.environment, self.folder, self.ask(row)) as server:
            yield server


@dataclass(frozen=True)
class Mode:
    """How our endpoint is run."""

    log: bool = True
    workers: int = 1


def ours(champion: Champion, around: Surroundings, mode: Mode) -> Peer:
    """This project's endpoint, from its Bento, in an environment of the serving lock alone."""
    environment = {
        "BENTOML_DO_NOT_TRACK": "true",
        "MODELYARD_ENDPOINT_STATE": str(around.state),
        "MODELYARD_ENDPOINT_KEYS": str(around.keys),
        "MODELYARD_ENDPOINT_WORKERS": str(mode.workers),
    }
    if mode.log:
        environment["MODELYARD_ENDPOINT_DATABASE"] = str(around.database)
    command = ["-m", "serving.process", str(champion.bento), "--host", HOST, "--port", "{port}"]
    return Peer(
        name=OURS,
        about="this project's endpoint: keys, log to PostgreSQL, metrics",
        python=environments.make(environments.FOLDER / "serving" / "endpoint", [], lock=LOCK),
        packages=("bentoml", "uvicorn", "pydantic", "numpy"),
        command=command,
        environment=environment,
        folder=champion.sources,
        ask=lambda row: _question("/predict", row, Authorization=f"Bearer {around.key}"),
        read=lambda answer: float(answer["duration_minutes"]),
    )


def others(champion: Champion, wanted: Callable[[str], bool]) -> list[Peer]:
    """Everybody else whose name is wanted, from the heaviest.

    Their environments are made on the way.
    """
    makers: dict[str, Callable[[Champion], Peer]] = {
        MLFLOW: _mlflow,
        MLSERVER: _mlserver,
        KSERVE: _kserve,
        BENTOML: _bentoml,
        FASTAPI: lambda champion: _uvicorn(champion, FASTAPI, "fastapi_sklearn", _sklearn("fastapi")),
        FASTAPI_COMPILED: lambda champion: _uvicorn(champion, FASTAPI_COMPILED, "fastapi_compiled", _lean()),
        BARE: lambda champion: _uvicorn(champion, BARE, "bare", _lean(), "--lifespan", "off"),
        ECHO: lambda champion: _uvicorn(champion, ECHO, "echo", _lean(), "--lifespan", "off", predicts=False),
    }
    return [make(champion) for name, make in makers.items() if wanted(name)]


def _lean() -> Path:
    """An environment with what our endpoint has, and the two that peers add."""
    folder = environments.FOLDER / "serving" / "lean"
    return environments.make(folder, [FASTAPI_PIN, "msgspec==0.22.0"], lock=LOCK)


def _sklearn(name: str) -> Path:
    """An environment with scikit-learn's stack as the model was trained with, and a server."""
    stack = environments.pinned("numpy", "pandas", "scikit-learn", "scipy", "skops")
    http = environments.pinned("uvloop", "httptools")
    servers = {
        "mlflow": environments.pinned("mlflow"),
        "mlserver": ["mlserver==1.7.1"],
        "kserve": ["kserve==0.21.0"],
        "bentoml": [*environments.pinned("bentoml"), *http],
        "fastapi": [FASTAPI_PIN, *environments.pinned("uvicorn"), *http],
    }
    # KServe asks for pandas 2, and runs with the 3 that the model was trained with.
    overrides = environments.pinned("pandas") if name == "kserve" else []
    folder = environments.FOLDER / "serving" / name
    return environments.make(folder, [*stack, *servers[name]], overrides)


def _mlflow(champion: Champion) -> Peer:
    command = f"-m mlflow models serve --env-manager local --workers 1 --host {HOST} --port {{port}} -m"
    return _peer(
        champion,
        MLFLOW,
        "the registered model",
        _sklearn("mlflow"),
        ("mlflow", "fastapi", "scikit-learn", "pandas"),
        [*command.split(), str(champion.mlflow)],
        # The signature of the registered model has the target, too; the pipeline does not look at it.
        ask=lambda row: _question("/invocations", {"dataframe_records": [{**row, "duration": 0.0}]}),
        read=lambda answer: float(answer["predictions"][0]),
    )


def _mlserver(champion: Champion) -> Peer:
    folder = champion.folder / "mlserver"
    folder.mkdir(exist_ok=True)
    settings = {"host": HOST, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "taxi", "implementation": f"{APPS}.mlserver_runtime.Taxi"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    return _peer(
        champion,
        MLSERVER,
        "a runtime of its own, no parallel workers",
        _sklearn("mlserver"),
        ("mlserver", "fastapi", "scikit-learn", "pandas"),
        ["-c", "from mlserver.cli import main; main()", "start", str(folder)],
        ask=lambda row: _question("/v2/models/taxi/infer", {"inputs": _tensors(row)}),
        read=lambda answer: float(answer["outputs"][0]["data"][0]),
        MLSERVER_HTTP_PORT="{port}",
        MLSERVER_GRPC_PORT="{port2}",
        MLSERVER_METRICS_PORT="{port3}",
    )


def _kserve(champion: Champion) -> Peer:
    command = ["-m", f"{APPS}.kserve_model", "--http_port", "{port}", "--enable_grpc", "false"]
    return _peer(
        champion,
        KSERVE,
        "a model class of its own",
        _sklearn("kserve"),
        ("kserve", "fastapi", "scikit-learn", "pandas"),
        command,
        ask=lambda row: _question("/v1/models/taxi:predict", {"instances": [row]}),
        read=lambda answer: float(answer["predictions"][0]),
    )


def _bentoml(champion: Champion) -> Peer:
    python = _sklearn("bentoml")
    return _peer(
        champion,
        BENTOML,
        "typed API",
        python,
        ("bentoml", "pydantic", "scikit-learn", "pandas"),
        ["-m", "bentoml", "serve", f"{APPS}.bentoml_typed:Taxi", "--host", HOST, "--port", "{port}"],
        ask=lambda row: _question("/predict", {"trip": row}),
        read=lambda answer: float(answer["duration_minutes"]),
        BENTOML_HOME=str(champion.folder / "bentoml"),
        BENTOML_DO_NOT_TRACK="true",
    )


def _uvicorn(
    champion: Champion, name: str, app: str, python: Path, *more: str, predicts: bool = True
) -> Peer:
    command = ["-m", "uvicorn", f"{APPS}.{app}:app", "--host", HOST, "--port", "{port}", *more]
    fast = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return _peer(
        champion,
        name,
        "under uvicorn",
        python,
        _PACKAGES[app],
        [*command, *fast],
        ask=lambda row: _question("/predict", row),
        read=(lambda answer: float(answer["duration_minutes"])) if predicts else None,
    )


def _peer(
    champion: Champion,
    name: str,
    about: str,
    python: Path,
    packages: Sequence[str],
    command: Sequence[str],
    *,
    ask: Callable[[Mapping[str, Any]], Question],
    read: Callable[[Json], float] | None,
    **environment: str,
) -> Peer:
    own = {
        "PYTHONPATH": str(PROJECT),
        # mlflow starts its server by name.
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "BENCHMARK_FOLDER": str(champion.folder),
    }
    return Peer(name, about, python, packages, command, own | environment, champion.folder, ask, read)


def _tensors(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of a row as inputs of version 2 of the protocol."""
    kinds = {int: "INT64", float: "FP64", str: "BYTES", type(None): "FP64"}
    return [
        {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]}
        for name, value in row.items()
    ]


def _question(path: str, content: Json, **headers: str) -> Question:
    return Question(path, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})
