"""An unmodified ZenML client of a server: `python client.py key` or `python client.py run NAME`.

`key` prints an API key of a new service account. `run` runs a pipeline, reads back what it wrote, and prints
who ran it and the sum of a column.
"""

from __future__ import annotations

import sys

import pandas as pd
from zenml import log_metadata, pipeline, step
from zenml.client import Client


@step(enable_cache=False)
def table() -> pd.DataFrame:
    """A table, with its length as metadata."""
    log_metadata({"rows": 3})
    return pd.DataFrame({"number": [1, 2, 39], "text": ["a", "東京", None]})


@step(enable_cache=False)
def total(numbers: pd.DataFrame) -> int:
    """The sum of a column."""
    return int(numbers["number"].sum())


@pipeline(enable_cache=False, tags=["over REST"])
def adding() -> None:
    """Two steps with a table between them."""
    total(table())


def main() -> None:
    """Make a key, or run and read back."""
    client = Client()
    if sys.argv[1] == "key":
        client.create_service_account("robot")
        print(client.create_api_key("robot", "key", set_key=False).key)
        return
    adding.with_options(run_name=sys.argv[2])()
    run = client.get_pipeline_run(sys.argv[2])
    read = run.steps["table"].output.load()
    metadata = run.steps["table"].run_metadata["rows"]
    print(client.active_user.name, run.status, metadata, read["text"][1], run.steps["total"].output.load())


if __name__ == "__main__":
    main()
