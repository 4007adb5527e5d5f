"""Data files wherever they lie: on this machine, on S3, or behind any other URL that fsspec can read.

A path is universal_pathlib's `UPath`; for what lies on this machine that is a `pathlib.Path`, too.
Endpoints import this module and have no universal_pathlib: it is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from errors import DataError, ModelyardError, UsageError

if TYPE_CHECKING:
    from upath import UPath

_S3 = ("s3", "s3a")
# Seconds. A store that is there answers at once; one that is not must not keep a person waiting.
_CONNECT, _READ = 5, 10
# Of s3fs, which tries again when an answer breaks off, and in each of the client below it.
_TRIES = 2


def path(text: str | Path) -> UPath:
    """The file or folder that `text` names: on this machine, or at a URL such as s3://bucket/folder.

    Raises:
        UsageError: a kind of URL that nothing reads, or one with a password in it.
    """
    from upath import UPath
    from upath.implementations.local import FilePath

    url = urlsplit(str(text))
    if url.password:
        raise UsageError(
            f"A password was given in a {url.scheme} URL, and paths are recorded and shown. "
            "Give it to the store's own client, by environment variables or a file."
        )
    try:
        found: UPath = UPath(text, **(_s3_options() if url.scheme in _S3 else {}))
    except ValueError as error:
        raise UsageError(f"{text} is no path, and no URL that can be read: {error}") from error
    if isinstance(found, FilePath):
        return UPath(found.path).resolve()
    if url.scheme in _S3:
        found.fs.retries = _TRIES
    return found.resolve() if is_here(found) else found


def is_here(path: object) -> bool:
    """Whether a path lies on this machine."""
    return isinstance(path, Path)


def kind(path: UPath) -> Literal["file", "directory"] | None:
    """What lies at a path, if anything does.

    Raises:
        DataError: the store cannot be asked, or has no such bucket.
    """
    with reaching(path):
        try:
            return "directory" if _info(path)["type"] == "directory" else "file"
        except (FileNotFoundError, NotADirectoryError) as error:
            if _no_bucket(error):
                raise
            return None


def entries(folder: UPath) -> list[UPath]:
    """What lies in a folder, sorted by name.

    Raises:
        DataError: the store cannot be asked.
    """
    with reaching(folder):
        return sorted(folder.iterdir(), key=lambda found: found.name)


def named(source: str, sources: Iterable[str]) -> list[UPath]:
    """The files of a list separated by commas.

    Raises:
        UsageError: one of them is not there; the message has the named `sources`, too.
        DataError: a store cannot be asked.
    """
    files = [path(part.strip()) for part in source.split(",")]
    missing = [str(file) for file in files if kind(file) != "file"]
    if missing:
        raise UsageError(
            f"There is no source, folder or file {', '.join(missing)}; named sources: {', '.join(sources)}."
        )
    return files


def etag(path: UPath) -> str | None:
    """`etag:MARK:SIZE` of a file whose store marks each content; None without such a mark.

    Raises:
        DataError: the store cannot be asked, or the file is not there.
    """
    with reaching(path):
        info = _info(path)
    mark = str(info.get("ETag") or info.get("etag") or "")
    # A weak one may stay when bytes change.
    return None if not mark or mark.startswith("W/") else f"etag:{mark.strip(chr(34))}:{info['size']}"


def open_parts(path: UPath) -> IO[bytes]:
    """Open a file of which only parts are read: nothing is fetched that was not asked for."""
    options: dict[str, Any] = {} if is_here(path) else {"cache_type": "none"}
    return path.open("rb", **options)  # type: ignore[no-any-return]


@contextmanager
def reaching(path: UPath, what: str = "read") -> Iterator[None]:
    """Whatever goes wrong with a disk or a store, as an error for a person.

    Raises:
        DataError: what the store or its client said, and what to look at.
    """
    try:
        yield
    except ModelyardError:
        raise
    except OSError as error:
        raise DataError(_trouble(path, what, error)) from error
    except Exception as error:  # the client of each store has errors of its own
        if is_here(path):
            raise
        raise DataError(_trouble(path, what, error)) from error


def _info(path: UPath) -> dict[str, Any]:
    # It remembers listings, and what was there a minute ago says nothing about now.
    path.fs.invalidate_cache()
    info: dict[str, Any] = path.fs.info(path.path)
    return info


def _s3_options() -> dict[str, Any]:
    """What s3fs is told; keys and the endpoint it finds in AWS's own variables by itself."""
    options: dict[str, Any] = {
        "config_kwargs": {
            "connect_timeout": _CONNECT,
            "read_timeout": _READ,
            "retries": {"mode": "standard", "total_max_attempts": _TRIES},
        }
    }
    # AWS's Python client reads AWS_DEFAULT_REGION alone, its other clients AWS_REGION.
    if region := os.environ.get("AWS_REGION"):
        options["client_kwargs"] = {"region_name": region}
    return options


def _trouble(path: UPath, what: str, error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError) and not _no_bucket(error):
        said = "there is no such file"
    said = f"Cannot {what} {path}: {said.rstrip('.')}."
    return said if is_here(path) else f"{said}\n{_advice(path)}"


def _no_bucket(error: Exception) -> bool:
    return "bucket does not exist" in str(error)


def _advice(path: UPath) -> str:
    if path.protocol not in _S3:
        return "Check the address and the network."
    asked = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "Amazon's S3"
    return (
        f"Asked was {asked}. Check the bucket's name, the endpoint (AWS_ENDPOINT_URL_S3; unset: Amazon's) "
        "and the key (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)."
    )
