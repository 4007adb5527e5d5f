"""Column types: what ZenML's models and migrations declare, as PostgreSQL has it."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler

# PostgreSQL's longest VARCHAR; ZenML asks for MySQL's MEDIUMTEXT as VARCHAR(16777215).
MAX_VARCHAR = 10_485_760


class Text(sqltypes.String):
    """Text parameters as MySQL and SQLite take them.

    bytes are decoded: ZenML keeps encrypted secrets as bytes in a text column, and psycopg2 would store
    their `\\x…` notation, which nothing can decrypt. Numbers and UUIDs become text. NUL characters, which
    PostgreSQL cannot store in text, are left out.
    """

    def bind_processor(self, dialect: Any) -> Any:
        """Called by SQLAlchemy for each text parameter."""
        return _as_text


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.replace("\x00", "")


class Id(sqltypes.UUID[Any]):
    """Ids of the sqlmodel that ZenML had up to 0.94, which hands PostgreSQL texts with hyphens."""

    def bind_processor(self, dialect: Any) -> Any:
        """Called by SQLAlchemy for each such parameter."""
        return _as_hex

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        """Called by SQLAlchemy for each such column; sqlmodel makes the UUID."""
        return None


def _as_hex(value: Any) -> str | None:
    return None if value is None else str(value).replace("-", "")


class TextAsNumber(sqltypes.TypeDecorator[Any]):
    """Text parameters that are compared with a number, as SQLite compares them.

    Text which is no number equals none and comes after all: so does PostgreSQL's NaN.
    """

    impl = sqltypes.Float
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> float | None:
        """Called by SQLAlchemy for each such parameter."""
        if value is None:
            return None
        try:
            return float(value)
        except ValueError:
            return math.nan


class TypeCompiler(PGTypeCompiler):
    """DDL of column types."""

    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:
        if type_.length and type_.length > MAX_VARCHAR:
            return "TEXT"
        return super().visit_VARCHAR(type_, **kw)

    def visit_uuid(self, type_: Any, **kw: Any) -> str:
        # As MySQL and SQLite have it: 32 hex digits. ZenML filters ids by LIKE and by lists of texts.
        return "VARCHAR(32)"

    def visit_UUID(self, type_: Any, **kw: Any) -> str:
        return "VARCHAR(32)"

    def visit_CHAR(self, type_: Any, **kw: Any) -> str:
        # ZenML's migrations write ids as CHAR(32), whose padding PostgreSQL compares differently.
        return self.visit_VARCHAR(type_, **kw)

    def visit_JSON(self, type_: Any, **kw: Any) -> str:
        # json has no equality, which SELECT DISTINCT needs.
        return "JSONB"

    # MySQL's type names in ZenML's migrations.

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        return "TIMESTAMP WITHOUT TIME ZONE"

    def visit_MEDIUMTEXT(self, type_: Any, **kw: Any) -> str:
        return "TEXT"

    visit_LONGTEXT = visit_TINYTEXT = visit_MEDIUMTEXT

    def visit_BLOB(self, type_: Any, **kw: Any) -> str:
        return "BYTEA"

    visit_MEDIUMBLOB = visit_LONGBLOB = visit_BLOB

    def visit_TINYINT(self, type_: Any, **kw: Any) -> str:
        return "BOOLEAN"


def is_text(type_: Any) -> bool:
    """Whether a column or parameter of this type holds text."""
    return issubclass(type_._type_affinity, sqltypes.String)


def is_number(type_: Any) -> bool:
    """Whether a column or parameter of this type holds a number."""
    return issubclass(type_._type_affinity, sqltypes.Numeric | sqltypes.Integer)
