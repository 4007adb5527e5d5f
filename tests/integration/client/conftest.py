"""A taxi endpoint, with a database that its predictions are logged to."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import psycopg2
import pytest

import usecases
from db import embedded
from db.migrate import upgrade
from releases.surroundings import surroundings
from serving import model as served_model
from serving.package import PREDICTION, ModelPackage, package
from settings import Settings
from tests import problems
from tests.conftest import _database
from tests.integration.releases.titanic import Built
from tests.integration.serving.live import Live, serving
from training.profile import profile


class Taxi(NamedTuple):
    """A packed taxi model, where it answers, and where that is logged."""

    start: Callable[[int], AbstractContextManager[Live]]
    """Starts it on a port."""
    database: str
    keys: Path

    def logged(self, question: str, *, rows: int) -> list[tuple[Any, ...]]:
        """What the database answers, once there are so many rows."""
        deadline = time.monotonic() + 30
        with closing(psycopg2.connect(self.database)) as connection:
            connection.autocommit = True
            while True:
                with connection.cursor() as cursor:
                    cursor.execute(question)
                    found = cursor.fetchall()
                if len(found) >= rows:
                    return found
                assert time.monotonic() < deadline, found
                time.sleep(0.1)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    case = usecases.load("taxi")
    fitted = problems.fitted("taxi", "ridge")
    seen = problems.answerable(case, problems.rows("taxi"))[case.request_columns]
    predictions = served_model.predict(case, fitted, seen)
    content = ModelPackage(
        use_case="taxi",
        model_version=1,
        model=fitted,
        provenance={"candidate": "ridge", "zenml_run": "a run", "mlflow_run": "another"},
        profile=profile(seen, predictions),
        examples=pd.DataFrame(seen).assign(**{PREDICTION: predictions}),
    )
    return Built(content, package(content, tmp_path_factory.mktemp("bentos")))


@pytest.fixture(scope="session")
def taxi(built: Built, server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxi]:
    folder = tmp_path_factory.mktemp("endpoint")
    with _database(server) as url:
        upgrade(url)
        around = surroundings(Settings(home=folder / "home"), url, "taxi")
        yield Taxi(
            lambda port: serving(built, folder, around, port=port),
            url,
            Path(around["MODELYARD_ENDPOINT_KEYS"]),
        )


@pytest.fixture(scope="module")
def live(taxi: Taxi) -> Iterator[Live]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with taxi.start(port) as live:
        yield live
