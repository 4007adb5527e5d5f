"""Loads and exports in processes of their own, which can be told to kill themselves.

They are forked from one that has imported everything, since that is what takes time.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from upath import UPath

import usecases
from ingestion import engine, files, spec
from ingestion.load import load

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        __name__,
        "adbc_driver_postgresql",
        "adbc_driver_manager.dbapi",
        "dlt.destinations.impl.postgres.postgres",
        "dlt.load.load",
        "dlt.normalize.normalize",
        "pandera.pandas",
        "usecases.titanic.use_case",
    ]
)


def run(url: str, home: Path, source: Path, point: str = "", *, full: bool = False) -> Any:
    """The batch of a load, or None when nothing was new; with a `point` it is killed there."""
    return in_a_process(_load, url, home, source, full, point=point)


def in_a_process(work: Callable[..., Any], *arguments: Any, point: str = "") -> Any:
    """What `work` returns in a process of its own; with a `point` that is killed there, and None.

    kill -9 when `module:function` is called for the first time; `module:function+` when it is done,
    `module:function 2` when it is called for the second time.
    """
    here, there = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_answer, args=(there, dict(os.environ), point, work, arguments))
    process.start()
    there.close()
    try:
        done = here.recv()
    except EOFError:
        done = None
    process.join()
    assert process.exitcode == (-signal.SIGKILL if point else 0), (process.exitcode, done)
    return done


def _answer(
    answer: Connection,
    environment: dict[str, str],
    point: str,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    os.environ.update(environment)
    if point:
        _die_at(point)
    answer.send(work(*arguments))


def _load(url: str, home: Path, source: Path, full: bool) -> Any:
    # Several chunks of a file, several files of a load.
    files.ROWS = 100
    engine._SETTINGS["data_writer"]["file_max_items"] = 150
    done = load(
        usecases.load("titanic"),
        spec.find("titanic", str(source)),
        url=url,
        place=UPath(home) / "batches" / "titanic",
        home=home,
        full=full,
    )
    return done.batch.model_dump() if done.batch else None


def _die_at(point: str) -> None:
    found = re.fullmatch(r"([\w.]+):([\w.]+)(\+)?(?: (\d+))?", point)
    assert found
    owner: Any = importlib.import_module(found[1])
    *path, name = found[2].split(".")
    for part in path:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < int(found[4] or 1):
            return original(*arguments, **options)
        done = original(*arguments, **options) if found[3] else None
        os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(owner, name, dying)
