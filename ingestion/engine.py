"""dlt as it is used here: by what is set in this file alone, in a folder that may be lost.

Nothing is read of a `.dlt` in the user's home or the current folder, nor of environment variables; nothing is
told to dlt's makers. What a pipeline has to remember is in the database, beside the rows.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from db.batches import SCHEMA
from db.databases import text

if TYPE_CHECKING:
    import dlt

FILE_ROWS = 250_000
"""Rows of one file, which is one transaction of a load, and lies in memory as a whole meanwhile."""
_SETTINGS: dict[str, Any] = {
    "runtime": {"dlthub_telemetry": False, "log_level": "ERROR"},
    "normalize": {"parquet_normalizer": {"add_dlt_load_id": True}},
    # Files are loaded while they lie on this disk alone: room there is worth less than time.
    "data_writer": {"file_max_items": FILE_ROWS, "buffer_max_items": 1},
    # Columns keep their names, such as PULocationID.
    "schema": {"naming": "direct"},
    # Never again: of a commit whose answer was lost nobody knows whether it was done. The load begins anew.
    "load": {"workers": 2, "raise_on_max_retries": 1},
}


def pipeline(name: str, url: str, folder: Path) -> dlt.Pipeline:
    """The pipeline `name` into the schema `ingested` at `url`, as its last complete load left it.

    `folder` is emptied: what a load that was killed had there counts for nothing.
    """
    # Without them dlt would take CSV, in which the empty text is null.
    import adbc_driver_manager.dbapi  # noqa: F401
    import adbc_driver_postgresql  # noqa: F401
    import dlt
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    Container()[PluggableRunContext].reload(_context(folder))
    made: dlt.Pipeline = dlt.pipeline(
        name,
        destination=dlt.destinations.postgres(credentials=_with_password(url)),
        dataset_name=SCHEMA,
        pipelines_dir=str(folder),
    )
    made.sync_destination()
    return made


def _with_password(url: str) -> str:
    """dlt does not read PGPASSWORD, and its Arrow driver is given the same URL."""
    made = make_url(url)
    return text(made if made.password else made.set(password=os.environ.get("PGPASSWORD")))


def _context(folder: Path) -> Any:
    from dlt.common.configuration.providers import CustomLoaderDocProvider
    from dlt.common.configuration.providers.provider import ConfigProvider
    from dlt.common.runtime.run_context import RunContext

    class Context(RunContext):
        """Where dlt looks for settings: in this file."""

        @property
        def global_dir(self) -> str:
            return str(folder)

        @property
        def run_dir(self) -> str:
            return str(folder)

        @property
        def local_dir(self) -> str:
            return str(folder)

        @property
        def data_dir(self) -> str:
            return str(folder)

        def initial_providers(self) -> list[ConfigProvider]:
            return [CustomLoaderDocProvider("modelyard", lambda: _SETTINGS)]

    return Context(str(folder))
