"""A real S3 server for tests: moto's, over HTTP."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests only", "AWS_REGION": "us-east-1"}


def environment(endpoint: str) -> dict[str, str]:
    """What a person sets to use the server."""
    return {"AWS_ENDPOINT_URL_S3": endpoint, **KEYS}


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """URL of a server that lives as long as the context; what it says goes into `folder`."""
    program = shutil.which(
        "moto_server", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if program is None:
        pytest.skip("NOTHING IS TESTED ON S3: there is no moto_server; install moto[server]")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (folder / "moto.log").open("w") as log:
        process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        client(endpoint).list_buckets()
        yield endpoint
    finally:
        process.kill()
        process.wait()


def client(endpoint: str) -> boto3.client:
    """Amazon's own client; it waits for a server that is starting."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_REGION"],
        config=boto3.session.Config(retries={"mode": "standard", "total_max_attempts": 30}),
    )


def make_bucket(endpoint: str) -> str:
    """URL of a new bucket."""
    name = f"test-{secrets.token_hex(6)}"
    client(endpoint).create_bucket(Bucket=name)
    return f"s3://{name}"
