"""Tables in Arrow's IPC format, as bodies of requests, read to arrays.

Read by numpy itself: of the small libraries for it, nanoarrow and arro3 end the process when a body is
damaged in the right place. Here, every place that a body names is looked up within its bounds.
The format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
Buffer = bytes | memoryview

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
MAX_ARROW_ROWS = 1_000_000
"""Rows that one body may hold."""
MAX_COLUMNS = 256
MAX_BATCHES = 10_000
MAX_VALUES = 25_000_000
"""Rows times columns: a column of nulls takes no place in a body."""
_EACH = 100
"""Values that a column of a batch counts as, however short it is: the work of so many."""
MAX_TEXT_BYTES = 64_000_000
"""Bytes that all texts may have: many rows can point to one long text."""

CONTINUED, _FILE = b"\xff\xff\xff\xff", b"ARROW1\0\0"
SCHEMA, _DICTIONARY, BATCH = 1, 2, 3
_NULL, INT, FLOAT, TEXT, BOOL, _DATE, TIMESTAMP, _LARGE_TEXT, _TEXT_VIEW = 1, 2, 3, 5, 6, 8, 10, 20, 24
_DAYS = "<M8[D]"
UNITS = ("s", "ms", "us", "ns")
_OTHERS = {
    4: "binary",
    7: "decimal",
    9: "time",
    12: "list",
    13: "struct",
    14: "union",
    17: "map",
    18: "duration",
    10: "timestamp with zone",
}
_TEXTS = {TEXT: "<i4", _LARGE_TEXT: "<i8", _TEXT_VIEW: ""}


@dataclass(frozen=True)
class _Field:
    name: str
    type: int
    dtype: str
    """Numpy type of the values in the body; of a dictionary's indices when there is one."""
    dictionary: int | None = None
    values: _Field | None = None


class _Room:
    """What a body may still hold."""

    def __init__(self, **limits: int) -> None:
        self.limits, self.left = limits, dict(limits)

    def take(self, **amounts: int) -> None:
        for name, amount in amounts.items():
            self.left[name] -= amount
            if amount < 0 or self.left[name] < 0:
                raise DataError(
                    f"The Arrow body holds more than {self.limits[name]:,} {name.replace('_', ' ')}, or is "
                    "damaged; send it in parts."
                )


def read(body: bytes, max_rows: int = MAX_ARROW_ROWS) -> dict[str, Array]:
    """The columns of an Arrow IPC stream or file, by name; masked arrays where values are null.

    Raises:
        DataError: the body is no such stream, is damaged, cut off or compressed, holds too much, or a column
            of a type that no field of a request has.
    """
    try:
        return _read(body, max_rows)
    except (struct.error, ValueError, IndexError, TypeError, OverflowError) as error:
        raise DataError(
            f"The body was expected to be an Arrow IPC stream ({CONTENT_TYPE}), and is none or is damaged: "
            f"{error}"
        ) from None


def _read(body: bytes, max_rows: int) -> dict[str, Array]:
    room = _Room(rows=max_rows, batches=MAX_BATCHES, values=MAX_VALUES, bytes_of_text=MAX_TEXT_BYTES)
    fields: list[_Field] | None = None
    dictionaries: dict[int, Array] = {}
    batches: list[list[Array]] = []
    for kind, header, content in _messages(memoryview(body)):
        room.take(batches=1)
        if kind == SCHEMA and fields is None:
            fields = _fields(header)
        elif kind == _DICTIONARY and fields is not None:
            number, data = _get(header, 0, "Int64"), _child(header, 1)
            field = next((field.values for field in fields if field.dictionary == number), None)
            if field is None or data is None or _get(header, 2, "Bool"):
                raise DataError("A dictionary of the Arrow body belongs to no column, or adds to another.")
            (dictionaries[number],) = _columns(data, [field], content, {}, room)
        elif kind == BATCH and fields is not None:
            room.take(rows=_get(header, 0, "Int64"))
            batches.append(_columns(header, fields, content, dictionaries, room))
        else:
            raise DataError(f"A message of the kind {kind} was not expected at this place of the Arrow body.")
    if fields is None:
        raise DataError("The Arrow body ends before its schema.")
    if not batches:
        return {field.name: np.empty(0, dtype=field.dtype) for field in fields}
    return {
        field.name: parts[0] if len(parts) == 1 else np.ma.concatenate(parts)
        for field, parts in zip(fields, zip(*batches, strict=True), strict=True)
    }


def _messages(body: memoryview) -> Iterator[tuple[int, Table, memoryview]]:
    """Kind, header and content of each message."""
    place = len(_FILE) if body[: len(_FILE)] == _FILE else 0
    while True:
        if body[place : place + 4] != CONTINUED:
            what = "is cut off or damaged" if place else "is no Arrow IPC stream"
            raise DataError(f"The body {what}: byte {place:,} of {len(body):,} should start a message.")
        (size,) = struct.unpack_from("<i", body, place + 4)
        if size == 0:
            return
        start = place + 8 + size
        if size < 8 or start > len(body):
            raise DataError(
                f"The Arrow body is cut off or damaged: a message has {size:,} bytes of metadata."
            )
        metadata = bytes(body[place + 8 : start])
        message = Table(metadata, struct.unpack_from("<I", metadata)[0])
        length, header = _get(message, 3, "Int64"), _child(message, 2)
        place = start + length
        if header is None or not start <= place <= len(body):
            raise DataError(
                f"The Arrow body is cut off or damaged: a message has {length:,} bytes of content."
            )
        yield _get(message, 1, "Uint8"), header, body[start:place]


def _fields(schema: Table) -> list[_Field]:
    if _get(schema, 0, "Int16"):
        raise DataError("The Arrow body is big-endian; only little-endian ones are read.")
    fields = [_field(table) for table in _tables(schema, 1)]
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise DataError("Two columns of the Arrow body have the same name.")
    return fields


def _field(table: Table) -> _Field:
    name, kind, about = _text(table, 0), _get(table, 2, "Uint8"), _child(table, 3)
    if about is None:
        raise DataError("A column of the Arrow body has no type.")
    dtype = _dtype(kind, about)
    if dtype is None:
        raise DataError(
            f"The column {name[:100]!r} of the Arrow body is of the type {_OTHERS.get(kind, kind)}, which no "
            "field of a request has: send numbers, true and false, texts, dates and timestamps without zone."
        )
    encoding = _child(table, 4)
    if encoding is None:
        return _Field(name, kind, dtype)
    index = _child(encoding, 1)
    indices = _dtype(INT, index) if index is not None else "<i4"
    return _Field(name, INT, indices or "<i4", _get(encoding, 0, "Int64"), _Field(name, kind, dtype))


def _dtype(kind: int, about: Table) -> str | None:
    """Numpy type of a type's values; None when it is not read."""
    if kind == INT and (bits := _get(about, 0, "Int32")) in (8, 16, 32, 64):
        return f"<{'i' if _get(about, 1, 'Bool') else 'u'}{bits // 8}"
    if kind == FLOAT:
        return ("<f2", "<f4", "<f8")[_get(about, 0, "Int16")]
    if kind == TIMESTAMP and not _text(about, 1):
        return f"<M8[{UNITS[_get(about, 0, 'Int16')]}]"
    if kind == _DATE:
        return "<M8[ms]" if _get(about, 0, "Int16", 1) else _DAYS
    return {BOOL: "bool", _NULL: "object"}.get(kind, "object" if kind in _TEXTS else None)


def _columns(
    batch: Table,
    fields: list[_Field],
    content: memoryview,
    dictionaries: Mapping[int, Array],
    room: _Room,
) -> list[Array]:
    if _child(batch, 3) is not None:
        raise DataError("The Arrow body is compressed; send it uncompressed (compression=None).")
    rows = int(_get(batch, 0, "Int64"))
    room.take(values=(rows + _EACH) * len(fields))
    nodes, places = _pairs_of(batch, 1), _pairs_of(batch, 2)
    if rows < 0 or len(nodes) != len(fields) or any(length != rows for length, _ in nodes):
        raise DataError(f"A batch of the Arrow body should have {len(fields)} columns of {rows:,} rows.")
    buffers = iter(_buffer(content, start, length) for start, length in places)
    views = iter(_numbers(batch, 4))
    columns = []
    for field, (_, nulls) in zip(fields, nodes, strict=True):
        if field.type == _NULL:
            columns.append(np.full(rows, None))
            continue
        bitmap = next(buffers, b"")
        null = ~_bits(bitmap, rows) if nulls and len(bitmap) else np.ma.nomask
        if field.type == _TEXT_VIEW:
            laid = next(buffers, b""), list(islice(buffers, next(views, 0)))
            column = _texts(*_view_places(*laid, rows, null), null, room)
        elif field.type in _TEXTS:
            offsets = _values(next(buffers, b""), _TEXTS[field.type], rows + 1 if rows else 0)
            column = _texts(next(buffers, b""), offsets[:-1], offsets[1:], null, room)
        elif field.type == BOOL:
            column = _bits(next(buffers, b""), rows)
        elif field.dtype == _DAYS:
            column = _values(next(buffers, b""), "<i4", rows).astype(_DAYS)
        else:
            column = _values(next(buffers, b""), field.dtype, rows)
        if field.dictionary is not None:
            column, null = _looked_up(column, dictionaries.get(field.dictionary), null)
        columns.append(column if null is np.ma.nomask else np.ma.array(column, mask=null))
    return columns


def _looked_up(indices: Array, values: Array | None, null: Any) -> tuple[Array, Any]:
    if values is None:
        raise DataError("A column of the Arrow body uses a dictionary that did not come before it.")
    used = indices if null is np.ma.nomask else np.where(null, 0, indices)
    if used.size and not (len(values) or np.all(null)):
        raise DataError("A column of the Arrow body uses an empty dictionary.")
    if used.size and len(values) and not 0 <= int(used.min()) <= int(used.max()) < len(values):
        raise DataError("A column of the Arrow body points beyond its dictionary.")
    if not len(values):
        return np.full(used.shape, None), null
    found = values[used]
    return np.ma.getdata(found), np.ma.mask_or(null, np.ma.getmask(found), shrink=False)


def _texts(data: Buffer, starts: Array, ends: Array, null: Any, room: _Room) -> Array:
    texts = np.empty(len(starts), dtype=object)
    if null is not np.ma.nomask:
        starts, ends = np.where(null, 0, starts), np.where(null, 0, ends)
    lengths = ends - starts
    if len(starts) and not (starts.min() >= 0 and lengths.min() >= 0 and ends.max() <= len(data)):
        raise DataError("A text of the Arrow body lies outside of it.")
    room.take(bytes_of_text=int(lengths.sum()))
    source: Any = bytes(data)
    places = zip(starts.tolist(), ends.tolist(), strict=True)
    if source.isascii():  # one decoding for all: faster than one for each
        source = source.decode()
        texts[:] = [source[start:end] for start, end in places]
    else:
        texts[:] = [source[start:end].decode() for start, end in places]
    return texts


def _view_places(views: Buffer, others: list[Buffer], rows: int, null: Any) -> tuple[bytes, Array, Array]:
    """Where the texts of a view column lie: short ones among the views, long ones in other buffers."""
    entries = _values(views, "<i4", rows * 4).reshape(rows, 4).astype("int64")
    lengths, numbers, offsets = entries[:, 0], entries[:, 2], entries[:, 3]
    bases = np.cumsum([len(views), *(len(other) for other in others)])
    long = lengths > 12
    if null is not np.ma.nomask:
        long &= ~null
    numbers, offsets = np.where(long, numbers, 0), np.where(long, offsets, 0)
    if long.any() and not (numbers.min() >= 0 and numbers.max() < len(others) and offsets.min() >= 0):
        raise DataError("A text of the Arrow body lies outside of it.")
    starts = np.where(long, bases[numbers] + offsets, np.arange(rows) * 16 + 4)
    return b"".join([views, *others]), starts, starts + lengths


def _buffer(content: memoryview, start: int, length: int) -> Buffer:
    if start < 0 or length < 0 or start + length > len(content):
        raise DataError("A buffer of the Arrow body lies outside of its message.")
    return content[start : start + length]


def _values(buffer: Buffer, dtype: str, count: int) -> Array:
    return np.frombuffer(buffer, dtype=dtype, count=count) if count else np.empty(0, dtype=dtype)


def _bits(buffer: Buffer, count: int) -> Array:
    packed = _values(buffer, "u1", (count + 7) // 8)
    return np.unpackbits(packed, count=count, bitorder="little").view(bool)


def _get(table: Table, slot: int, kind: str, default: int = 0) -> Any:
    place = table.Offset(4 + 2 * slot)
    return table.Get(getattr(number_types, f"{kind}Flags"), table.Pos + place) if place else default


def _child(table: Table, slot: int) -> Table | None:
    place = table.Offset(4 + 2 * slot)
    return Table(table.Bytes, table.Indirect(table.Pos + place)) if place else None


def _text(table: Table, slot: int) -> str:
    place = table.Offset(4 + 2 * slot)
    return bytes(table.String(table.Pos + place)).decode() if place else ""


def _tables(table: Table, slot: int) -> list[Table]:
    place = table.Offset(4 + 2 * slot)
    count = table.VectorLen(place) if place else 0
    if count > MAX_COLUMNS:
        raise DataError(f"The Arrow body has {count:,} columns; at most {MAX_COLUMNS} are taken.")
    start = table.Vector(place) if place else 0
    return [Table(table.Bytes, table.Indirect(start + 4 * number)) for number in range(count)]


def _numbers(table: Table, slot: int, each: int = 1) -> list[int]:
    place = table.Offset(4 + 2 * slot)
    if not place:
        return []
    count = table.VectorLen(place) * each
    return np.frombuffer(table.Bytes, "<i8", count, table.Vector(place)).tolist() if count else []


def _pairs_of(table: Table, slot: int) -> list[tuple[int, int]]:
    numbers = _numbers(table, slot, 2)
    return list(zip(numbers[::2], numbers[1::2], strict=True))
