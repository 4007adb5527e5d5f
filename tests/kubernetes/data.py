"""What people put into a platform, by the servers' REST interfaces: secrets, runs, files, months of data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from boto3.session import Session

from tests.kubernetes.cluster import Platform


@dataclass(frozen=True)
class Servers:
    """Both servers, as somebody who has logged in."""

    zenml: httpx.Client
    mlflow: httpx.Client

    def put(self, name: str) -> None:
        """A secret in ZenML's database, an experiment with a run in MLflow's, a file in the bucket."""
        self.zenml.post("secrets", json={"name": name, "values": {"word": f"the secret word of {name}"}})
        experiment = self.mlflow.post("mlflow/experiments/create", json={"name": name}).json()[
            "experiment_id"
        ]
        answer = self.mlflow.post("mlflow/runs/create", json={"experiment_id": experiment}).json()
        run = answer["run"]["info"]["run_id"]
        self.mlflow.put(self._file(experiment, run), content=f"the file of {name}".encode())

    def names(self) -> set[str]:
        """Of all that was put, and not deleted."""
        found = self.mlflow.get("mlflow/experiments/search", params={"max_results": 100}).json()
        return {each["name"] for each in found["experiments"]} - {"Default"}

    def holds(self, name: str) -> bool:
        """Whether all that was put by a name is there as it was; fails where only a part of it is."""
        if name not in self.names():
            assert not self._secrets(name)
            return False
        assert self._secrets(name) == [{"word": f"the secret word of {name}"}]
        found = self.mlflow.get("mlflow/experiments/get-by-name", params={"experiment_name": name}).json()
        experiment = found["experiment"]["experiment_id"]
        (run,) = self.mlflow.post("mlflow/runs/search", json={"experiment_ids": [experiment]}).json()["runs"]
        file = self.mlflow.get(self._file(experiment, run["info"]["run_id"]))
        assert file.text == f"the file of {name}"
        return True

    def _secrets(self, name: str) -> list[dict[str, str]]:
        found = self.zenml.get("secrets", params={"name": name}).json()["items"]
        return [self.zenml.get(f"secrets/{each['id']}").json()["body"]["values"] for each in found]

    @staticmethod
    def _file(experiment: str, run: str) -> str:
        return f"mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/file.txt"


@dataclass(frozen=True)
class Trips:
    """A folder in a platform's bucket that months come to."""

    s3: Any
    bucket: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/trips"

    def put(self, month: str, body: bytes) -> None:
        """A month's file, whole at once."""
        self.s3.put_object(Bucket=self.bucket, Key=f"trips/green_tripdata_{month}.parquet", Body=body)

    def arrive(self, file: Path) -> None:
        """A month's file as the publisher has it."""
        self.put(file.stem.rpartition("_")[2], file.read_bytes())


@contextmanager
def trips(platform: Platform) -> Iterator[Trips]:
    """The folder, by a forwarded port, with the keys of the platform's Secret."""
    (connection,) = platform.get("configmap", "modelyard-connection")
    keys = platform.secret("s3")
    port = int(connection["data"]["s3-endpoint"].rpartition(":")[2])
    with platform.forwarded("s3", port) as url:
        s3 = Session().client(
            "s3",
            endpoint_url=url,
            region_name=connection["data"]["s3-region"],
            aws_access_key_id=keys["access-key"],
            aws_secret_access_key=keys["secret-key"],
        )
        yield Trips(s3, connection["data"]["bucket"])


@contextmanager
def logged_in(zenml: str, mlflow: str, password: str) -> Iterator[Servers]:
    """Both servers at these URLs."""
    hooks = {"response": [httpx.Response.raise_for_status]}
    token = login(zenml, password)
    with (
        httpx.Client(
            base_url=f"{zenml}/api/v1/", headers={"Authorization": f"Bearer {token}"}, event_hooks=hooks,
            trust_env=False, timeout=30,
        ) as pages,
        httpx.Client(
            base_url=f"{mlflow}/api/2.0/", auth=("default", password), event_hooks=hooks, trust_env=False,
            timeout=30,
        ) as tracking,
    ):  # fmt: skip
        yield Servers(pages, tracking)


def login(zenml: str, password: str) -> str:
    """A token of ZenML's."""
    answer = httpx.post(
        f"{zenml}/api/v1/login",
        data={"username": "default", "password": password},
        trust_env=False,
        timeout=30,
    )
    return str(answer.raise_for_status().json()["access_token"])


@contextmanager
def opened(platform: Platform) -> Iterator[Servers]:
    """The servers of a platform, by forwarded ports, with the login of its Secret."""
    password = platform.secret("login")["password"]
    with (
        platform.forwarded("zenml", 8237) as zenml,
        platform.forwarded("mlflow", 5000) as mlflow,
        logged_in(zenml, mlflow, password) as servers,
    ):
        yield servers
