"""Each example of docs/applications.md does what the page says, as it stands there."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from settings import PROJECT
from tests.integration.client.conftest import Taxi
from tests.integration.serving.live import Live

PAGE = (PROJECT / "docs" / "applications.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(*command: str, **more: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=more or None)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def at(live: Live, example: str) -> str:
    """The same, to the address of this test's endpoint."""
    assert "http://127.0.0.1:3000" in example
    return example.replace("http://127.0.0.1:3000", live.address)


def test_curl(live: Live) -> None:
    (example,) = examples("bash")
    predicted, told = re.findall(r"{.*?}", run("bash", "-euc", at(live, example)))
    assert json.loads(predicted)["model_version"] == 1
    assert json.loads(told) == {"accepted": 1}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, r"\d+\.\d minutes, says version 1\n"),
        (1, r"\[\d+\.\d, \d+\.\d, \d+\.\d\]\n"),
        (2, r"lpep_pickup_datetime - Input should be greater than .* - 1999-12-31T00:00:00\n"),
    ],
)
def test_python(live: Live, number: int, said: str) -> None:
    example = at(live, examples("python")[number])
    told = run(sys.executable, "-c", example, PYTHONPATH=str(PROJECT / "client"))
    assert re.fullmatch(said, told), told


def test_the_readme_of_the_client(live: Live) -> None:
    example = re.search(r"```python\n(.*?)```", (PROJECT / "client" / "README.md").read_text(), re.DOTALL)
    assert example
    assert float(run(sys.executable, "-c", at(live, example[1]), PYTHONPATH=str(PROJECT / "client"))) > 1


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed: apt-get install nodejs")
def test_javascript(live: Live, tmp_path: Path) -> None:
    (example,) = examples("javascript")
    module = tmp_path / "ask.mjs"
    module.write_text(at(live, example))
    assert re.fullmatch(r"\d+\.\d minutes\n", run("node", str(module)))
    module.write_text(at(live, example).replace("PULocationID: 74", "PULocationID: 740"))
    with pytest.raises(AssertionError, match="PULocationID: Input should be less than or equal to 265"):
        run("node", str(module))


def test_sql(live: Live, taxi: Taxi) -> None:
    (example,) = examples("sql")
    curl = at(live, examples("bash")[0]).replace("ride-4711", "ride-of-sql")
    run("bash", "-euc", curl)
    taxi.logged(
        "SELECT FROM prediction_outcomes WHERE request_id = 'ride-of-sql' AND outcome IS NOT NULL", rows=1
    )
    output = io.StringIO()
    with closing(psycopg2.connect(taxi.database)) as connection, connection.cursor() as cursor:
        cursor.copy_expert(example, output)
    rows = list(csv.DictReader(io.StringIO(output.getvalue())))
    (row,) = [row for row in rows if row["request_id"] == "ride-of-sql"]
    assert (row["miles"], float(row["outcome"])) == ("3.1", 17.5)
    assert float(row["prediction"]) > 1
