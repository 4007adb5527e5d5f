"""Load what is new at a source, each row once, whenever the process is killed.

What is read passes the door into dlt's package and into the batch's file. The batch is noted as begun before
the package is loaded, and counts once dlt has noted that all of it is there: `batches.settle` tells by that,
at the end and before the next load, whether a batch counts or is given up.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from db import batches as record
from db.batches import QUARANTINE
from db.session import advisory_lock
from errors import DataError, ModelyardError
from ingestion import batches, engine
from ingestion.batches import Lineage
from ingestion.chunks import Chunk
from ingestion.door import Door
from ingestion.reading import Reading, reading

if TYPE_CHECKING:
    import dlt
    from upath import UPath

    from ingestion.spec import Cursor, Named
    from usecases.base import UseCase

FOLDER = "ingestion"
"""Of the home folder: where loads work; nothing in it is needed afterwards."""
_ROWS = "rows"


@dataclass(frozen=True)
class Loaded:
    """What a load brought."""

    batch: record.Recorded | None
    """None when nothing was new."""
    new_columns: list[str]


def load(
    case: UseCase,
    named: Named,
    *,
    url: str,
    place: UPath,
    home: Path,
    run: str | None = None,
    full: bool = False,
    wait: bool = False,
) -> Loaded:
    """Load what is new at the source; with `full` everything, in the place of what was loaded from it before.

    `url` is of the project's own database, `place` where batches of the use case stay.

    Raises:
        Busy: another load of the use case is under way, and this one is not to `wait`.
        DataError: the source cannot be read, or something of it is to be rejected as a whole: nothing counts.
    """
    name = f"{case.name}_{named.name}"
    scratch = home / FOLDER / name
    with advisory_lock(url, f"ingest {case.name}", wait=wait):
        batches.settle(url, case.name, place)
        try:
            with _in_words(named), _memory_given_back():
                pipeline = engine.pipeline(name, url, scratch)
                loaded = _load(case, named, pipeline, url, place, scratch, run, full)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        batches.settle(url, case.name, place)
        if loaded.batch is None:
            return loaded
        done = next(each for each in record.loaded(url, case.name) if each.id == loaded.batch.id)
        return Loaded(done, loaded.new_columns)


@contextmanager
def _memory_given_back() -> Iterator[None]:
    """Let Arrow take memory from the system: its own pools keep reading's beside what loading takes."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


def _load(
    case: UseCase,
    named: Named,
    pipeline: dlt.Pipeline,
    url: str,
    place: UPath,
    scratch: Path,
    run: str | None,
    full: bool,
) -> Loaded:
    replaces = full or not named.is_incremental
    if replaces:
        _forget(pipeline)
    before = _remembered(pipeline)
    loaded = functools.partial(record.values, url, case.name, named.name if replaces else None)
    door = Door(case, named.source, before.get("columns"), loaded)
    rows = batches.Rows(scratch / "batch.parquet", door.schema, case.moment)
    source = reading(named, door, scratch)
    package = pipeline.extract(_resources(case.name, named, source, door, rows))
    fingerprint = rows.close()
    rejected = door.rows - rows.count
    known = replaces and _is_known(url, case.name, named.name, fingerprint, rejected)
    if not door.rows or known:
        return Loaded(None, door.new)
    (load_id,) = package.loads_ids
    number = record.next_id(url)
    file = f"{case.name}-{number:06}.parquet"
    lineage = Lineage(
        kind=named.source.kind,
        reasons=dict(door.reasons),
        new_columns=door.new,
        newest=rows.newest,
        **_cursor(named, before, _remembered(pipeline)),
        **source.lineage,
    )
    batch = {
        "id": number,
        "use_case": case.name,
        "source": named.name,
        "load_id": load_id,
        "replaces": replaces,
        "rows": rows.count,
        "rejected": rejected,
        "fingerprint": fingerprint,
        "file": file,
        "lineage": lineage.model_dump(mode="json"),
        "zenml_run": run,
    }
    record.begin(url, batch)
    if rows.count:
        batches.publish(rows.file, place, file)
    pipeline.normalize()
    pipeline.load()
    (begun,) = [each for each in record.begun(url, case.name) if each.id == number]
    return Loaded(begun, door.new)


def _resources(use_case: str, named: Named, source: Reading, door: Door, rows: batches.Rows) -> Any:
    import dlt

    def read(told: Any = None) -> Iterator[pa.Table]:
        since = told.last_value if told else None
        for chunk in source.chunks(dlt.current.resource_state(), since):
            about = {"origin": chunk.origin, "columns": "\0".join(chunk.columns)}
            yield chunk.rows.replace_schema_metadata(about)

    def judge(table: pa.Table) -> Iterator[Any]:
        about = table.schema.metadata
        columns = about[b"columns"].decode().split("\0")
        passed = door(Chunk(about[b"origin"].decode(), columns, table.replace_schema_metadata(None)))
        # They are known from now on, but for those that are still to be decided upon.
        dlt.current.resource_state(_ROWS)["columns"] = sorted({*(door.known or ()), *door.new})
        rows.add(passed.accepted)
        if len(passed.accepted):
            yield passed.accepted
        if len(passed.rejected):
            yield dlt.mark.with_table_name(passed.rejected, use_case + QUARANTINE)

    hints: Any = {
        field.name: {"name": field.name, "data_type": "timestamp", "timezone": field.type.tz is not None}
        for field in door.schema
        if pa.types.is_timestamp(field.type)
    }
    rows_read = dlt.resource(_by_cursor(read, named.cursor), name=_ROWS, selected=False)
    return rows_read | dlt.transformer(
        judge, name=use_case, write_disposition="append", file_format="parquet", columns=hints
    )


def _by_cursor(read: Callable[..., Any], cursor: Cursor | None) -> Callable[..., Any]:
    """`read` with what tells new rows where dlt looks for it: in the default of a parameter."""
    import dlt

    if cursor is None:
        return lambda: read()
    told = dlt.sources.incremental(
        cursor.column, initial_value=cursor.initial, primary_key=tuple(cursor.key) or None
    )

    def read_on(told: Any = told) -> Any:
        yield from read(told)

    return read_on


def _remembered(pipeline: dlt.Pipeline) -> dict[str, Any]:
    """What the pipeline has noted of its source's rows."""
    sources: Any = pipeline.state.get("sources", {})
    resources = sources.get(pipeline.default_schema_name or "", {}).get("resources", {})
    return dict(resources.get(_ROWS, {}))


def _cursor(named: Named, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """From where to where this load has read."""
    if named.cursor is None:
        return {}
    column = named.cursor.column
    since, until = (
        state.get("incremental", {}).get(column, {}).get("last_value") for state in (before, after)
    )
    return {"cursor": column, "since": since, "until": until}


def _forget(pipeline: dlt.Pipeline) -> None:
    with pipeline.managed_state() as state:
        state.pop("sources", None)


def _is_known(url: str, use_case: str, source: str, fingerprint: str, rejected: int) -> bool:
    """Whether the only batch of the source that counts holds these very rows."""
    there = record.loaded(url, use_case, source)
    return [(each.fingerprint, each.rejected) for each in there] == [(fingerprint, rejected)]


@contextmanager
def _in_words(named: Named) -> Iterator[None]:
    """What dlt wraps in errors of its own, as the error that it was.

    Raises:
        DataError: it was none of ours.
    """
    from dlt.common.exceptions import DltException

    try:
        yield
    except DltException as error:
        cause: BaseException | None = error
        last: BaseException = error
        while cause is not None:
            if isinstance(cause, ModelyardError):
                raise cause from None
            last, cause = cause, cause.__cause__ or cause.__context__
        raise DataError(
            f"The source {named.name} could not be loaded, and nothing of it counts: {last}"
        ) from error
