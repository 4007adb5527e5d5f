"""What a source's file may say: where rows are, which of them are new, and what they are to the use case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

import usecases
from errors import UsageError
from settings import PROJECT

Model = TypeVar("Model")
Decision = Literal["reject", "quarantine", "ignore"]
SECRET = r"^[A-Za-z][A-Za-z0-9_]*$"  # noqa: S105 - the form of a name
MONTH = "{month}"
_KINDS = ("files", "sql", "rest")


def _without_password(url: str) -> str:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("is no URL of a database: dialect+driver://user@host/database") from None
    if parsed.password:
        raise ValueError("has a password in it: name a secret instead, `password: NAME`")
    return url


DatabaseUrl = Annotated[str, AfterValidator(_without_password)]
"""`dialect+driver://user@host/database`, without a password."""


class Strict(BaseModel):
    """Unknown keys are refused, and `yes` is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Decisions(Strict):
    """What is done about rows and columns that are not as they should be.

    `reject`: the load ends and nothing of it counts. `quarantine`: the rows in question are kept apart, with
    the reason. `ignore`: a new column is left out; what is missing or cannot be read becomes a gap, where the
    use case allows one.
    """

    new: Decision = "ignore"
    """A column that no load before had."""
    missing: Decision = "reject"
    """A column of the use case that the source lacks."""
    retyped: Decision = "quarantine"
    """A value of another type than the use case's."""
    invalid: Literal["reject", "quarantine"] = "quarantine"
    """A row that breaks the use case's contract."""


class Cursor(Strict):
    """Which column tells what is new: a row is when its value is not below the highest one so far."""

    column: str
    initial: int | str | None = None
    """Where the first load begins; None: at the beginning."""
    key: list[str] = []
    """Columns that tell rows apart; without them those with the highest value are by all that they hold."""


class Source(Strict):
    """What all kinds share."""

    about: str = ""
    columns: dict[str, str] = {}
    """Column of the use case → what the source calls it, where that is another name."""
    decisions: Decisions = Decisions()


class FileSource(Source):
    """Files on this machine, on S3 or behind HTTP; new is a file that was not loaded yet."""

    kind: Literal["files"]
    path: str
    """A file, a folder, or a pattern such as `s3://bucket/folder/*.csv`, relative to the source's own file.
    With `{month}` in it a file for each month."""
    since: str | None = Field(default=None, pattern=r"^\d{4}-(0[1-9]|1[0-2])$")
    """The first `{month}`; they go on to the newest that is there."""
    format: Literal["parquet", "csv", "jsonl"] | None = None
    """None: by the name's ending."""

    @model_validator(mode="after")
    def _has_months(self) -> FileSource:
        if (self.since is not None) != (MONTH in self.path):
            raise ValueError(f"`since` and {MONTH} in `path` go together")
        return self


class SqlSource(Source):
    """A table or a query of a database that SQLAlchemy has a driver for."""

    kind: Literal["sql"]
    url: DatabaseUrl
    password: str | None = Field(default=None, pattern=SECRET)
    """Name of the secret that is the password."""
    table: str | None = None
    query: str | None = None
    cursor: Cursor | None = None
    """None: all rows are read each time, and those before are replaced."""

    @model_validator(mode="after")
    def _table_or_query(self) -> SqlSource:
        if (self.table is None) == (self.query is None):
            raise ValueError("has either a table or a query")
        return self


class Paging(Strict):
    """How an API gives more rows than fit in one answer."""

    kind: Literal["none", "page", "offset", "cursor", "link"]
    param: str | None = None
    """What the number of the page, the offset or the cursor is called in the request."""
    size: int | None = Field(default=None, ge=1)
    """Rows in an answer, of `offset`."""
    size_param: str | None = None
    first: int = 1
    """Number of the first page."""
    next: str | None = None
    """Where an answer has the next cursor or URL, such as `meta.next`; None: of `link` in its header."""


class Auth(Strict):
    """How an API knows who asks; secrets are named, never written here."""

    kind: Literal["bearer", "basic", "key"]
    secret: str = Field(pattern=SECRET)
    user: str | None = None
    """Of `basic`."""
    header: str = "X-API-Key"
    """Of `key`."""


class RestSource(Source):
    """An HTTP API that answers with JSON."""

    kind: Literal["rest"]
    url: str
    params: dict[str, str | int] = {}
    rows: str = "$"
    """Where an answer has its rows, as a JSONPath such as `data.items`."""
    paging: Paging = Paging(kind="none")
    auth: Auth | None = None
    cursor: Cursor | None = None
    """None: all rows are read each time, and those before are replaced."""
    cursor_param: str | None = None
    """What the API calls the cursor in a request; None: it answers with all, and known rows are left out."""


Any_ = Annotated[FileSource | SqlSource | RestSource, Field(discriminator="kind")]
_SOURCE: TypeAdapter[FileSource | SqlSource | RestSource] = TypeAdapter(Any_)


class Described(BaseModel):
    """Something that has a name and a file which says what it is; it travels to pods as it is."""

    model_config = ConfigDict(frozen=True)

    name: str
    file: Path
    """Of the project relative to it, which in pods lies elsewhere."""

    @property
    def beside(self) -> Path:
        """The folder that a relative path begins at."""
        return (PROJECT / self.file).parent

    @property
    def is_of_project(self) -> bool:
        """Whether what lies beside it goes to pods with the project's code."""
        return not self.file.is_absolute()


class Named(Described):
    """A source and the file that it is described in."""

    source: Any_

    @property
    def is_incremental(self) -> bool:
        """Whether only what is new is read; else everything, in the place of what was there."""
        return isinstance(self.source, FileSource) or self.cursor is not None

    @property
    def cursor(self) -> Cursor | None:
        """What tells which rows are new; None where files are told apart, or nothing is."""
        return None if isinstance(self.source, FileSource) else self.source.cursor


def folder(use_case: str, kind: str = "sources") -> Path:
    """Where a use case has its sources, or its sinks."""
    return Path(usecases.__file__).parent / use_case / kind


def listed(use_case: str) -> list[Named]:
    """The sources that come with the use case, by name.

    Raises:
        UsageError: one of them is wrong.
    """
    return [read(path) for path in sorted(folder(use_case).glob("*.yaml"))]


def find(use_case: str, text: str) -> Named:
    """The source of that name, or the one in the file `text`.

    Raises:
        UsageError: there is none, or it is wrong.
    """
    return read(locate(text, folder(use_case)))


def locate(text: str, where: Path) -> Path:
    """The file that describes `text`: a name in the folder `where`, or a path of one's own."""
    if text.endswith((".yaml", ".yml")):
        return Path(text).absolute()
    path = where / f"{text}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(path.stem for path in where.glob("*.yaml"))) or "none"
        raise UsageError(
            f"There is no {where.name.rstrip('s')} {text!r}; there are: {there}. Or name a file, {text}.yaml."
        )
    return path


def read(path: Path) -> Named:
    """The source in a file.

    Raises:
        UsageError: it cannot be read, or is wrong; the message names each key.
    """
    return Named(**described(path), source=parse(path, _SOURCE))


def described(path: Path) -> dict[str, Any]:
    """Name and file of what a file describes; it is called so in tables and messages.

    Raises:
        UsageError: the file's name gives none.
    """
    name = path.stem
    if not (name.isascii() and name.isidentifier()) or len(name) > 40:
        raise UsageError(f"{path.name} gives no name: it takes letters, digits and _, 40 of them at most.")
    return {"name": name, "file": path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path}


def parse(path: Path, model: TypeAdapter[Model]) -> Model:
    """What a YAML file says, as `model` has it.

    Raises:
        UsageError: it cannot be read, or is wrong; values are not repeated.
    """
    try:
        return model.validate_python(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{path} is no YAML in line {line}: {error.problem}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {error}") from None
    except ValidationError as error:
        lines = "\n".join(f"  {_where(e)}: {_said(e)}" for e in error.errors(include_input=False))
        raise UsageError(f"{path} is wrong in:\n{lines}") from None


def _where(error: ErrorDetails) -> str:
    # Where a kind decides what else may be said, pydantic names it as one more part of the place.
    return ".".join(str(part) for part in error["loc"] if part not in _KINDS) or "the file"


def _said(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "there is no such key"
        case "missing":
            return "is missing"
        case "union_tag_invalid":
            return f"there is no kind {error['ctx']['tag']}, but {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return "has no `kind`"
        case "model_attributes_type" | "model_type" | "dict_type":
            return "must have keys with values, `key: value`"
    return error["msg"].removeprefix("Value error, ")
