"""Answers as tables in Arrow's IPC format."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np

from serving.arrow import BATCH, BOOL, CONTINUED, FLOAT, INT, SCHEMA, TEXT, TIMESTAMP, UNITS, Array

_V5 = 4
"""Version of the format's metadata."""


def write(columns: Mapping[str, Array]) -> bytes:
    """Columns of float64, int64, bool, datetime64[us] or texts, as an Arrow IPC stream of one batch."""
    buffers: list[bytes] = []
    nodes: list[int] = []
    for array in columns.values():
        buffers += _buffers(array)
        nodes += [len(array), sum(value is None for value in array) if array.dtype == object else 0]
    padded = [buffer + bytes(-len(buffer) % 8) for buffer in buffers]
    starts = np.concatenate([[0], np.cumsum([len(buffer) for buffer in padded])]).astype(int).tolist()
    places = [
        number for start, buffer in zip(starts, buffers, strict=False) for number in (start, len(buffer))
    ]
    builder = flatbuffers.Builder(1024)
    rows = len(next(iter(columns.values()), ()))
    batch = _table(builder, {0: ("Int64", rows), 1: _pairs(builder, nodes), 2: _pairs(builder, places)})
    messages = [_schema_message(columns), _message(builder, BATCH, batch, starts[-1])]
    return b"".join([*messages, *padded, CONTINUED, bytes(4)])


def _buffers(array: Array) -> list[bytes]:
    """Validity and values of a column, as they lie in a batch."""
    if array.dtype == bool:
        return [b"", np.packbits(array, bitorder="little").tobytes()]
    if array.dtype != object:
        return [b"", array.tobytes()]
    texts = [b"" if value is None else str(value).encode() for value in array]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype("<i4")
    valid = np.packbits([value is not None for value in array], bitorder="little")
    return [valid.tobytes(), offsets.tobytes(), b"".join(texts)]


def _schema_message(columns: Mapping[str, Array]) -> bytes:
    builder = flatbuffers.Builder(1024)
    fields = []
    for name, array in columns.items():
        kind, about = {
            "f": (FLOAT, {0: ("Int16", 2)}),
            "i": (INT, {0: ("Int32", 64), 1: ("Bool", True)}),
            "b": (BOOL, {}),
            "M": (TIMESTAMP, {0: ("Int16", UNITS.index("us"))}),
            "O": (TEXT, {}),
        }[array.dtype.kind]
        label, described = builder.CreateString(name), _table(builder, about)
        children = _vector(builder, [])
        fields.append(
            _table(
                builder,
                {0: label, 1: ("Bool", True), 2: ("Uint8", kind), 3: described, 5: children},
            )
        )
    schema = _table(builder, {1: _vector(builder, fields)})
    return _message(builder, SCHEMA, schema, 0)


def _message(builder: flatbuffers.Builder, kind: int, header: int, content: int) -> bytes:
    message = {0: ("Int16", _V5), 1: ("Uint8", kind), 2: header, 3: ("Int64", content)}
    builder.Finish(_table(builder, message))
    metadata = bytes(builder.Output())
    metadata += bytes(-len(metadata) % 8)
    return CONTINUED + struct.pack("<i", len(metadata)) + metadata


def _table(builder: flatbuffers.Builder, slots: Mapping[int, Any]) -> int:
    """A table; slots hold (kind, number), or the place of what was built before."""
    builder.StartObject(max(slots, default=-1) + 1)
    for slot, value in slots.items():
        if isinstance(value, tuple):
            getattr(builder, f"Prepend{value[0]}Slot")(slot, value[1], 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, places: list[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _pairs(builder: flatbuffers.Builder, numbers: list[int]) -> int:
    builder.StartVector(16, len(numbers) // 2, 8)
    for number in reversed(numbers):
        builder.PrependInt64(number)
    return int(builder.EndVector())
