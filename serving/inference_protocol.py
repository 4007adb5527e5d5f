"""The Open Inference Protocol, version 2, over HTTP: bytes and values in, bytes and values out.

Each field of the request is an input tensor, each field of the response an output, of one value a row.
The protocol: https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md);
its extension for binary tensors, which Triton's client uses unless told otherwise:
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from errors import DataError
from serving import columns
from serving.columns import Array, Column, Kind

EXTENSIONS = ["binary_tensor_data"]
MAX_TENSOR_ROWS = 10_000
"""Rows that one request may have; a response is made of each by itself."""

_LENGTH = "inference-header-content-length"
_DATATYPES: Mapping[Kind, str] = {
    "int": "INT64",
    "float": "FP64",
    "bool": "BOOL",
    "str": "BYTES",
    "datetime": "BYTES",
}
_NUMPY = {f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)}
_NUMPY |= {f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)}
_INTEGERS = frozenset(_NUMPY)
_NUMPY |= {f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)} | {"BOOL": "?"}
_TAKEN: Mapping[Kind, frozenset[str]] = {
    "int": _INTEGERS,
    "float": frozenset(_NUMPY) - {"BOOL"},
    "bool": frozenset({"BOOL"}),
    "str": frozenset({"BYTES"}),
    "datetime": frozenset({"BYTES"}),
}


class Contract(Protocol):
    """The part of a use case's contract that the protocol needs."""

    @property
    def name(self) -> str: ...
    @property
    def request(self) -> type[BaseModel]: ...
    @property
    def respond(self) -> Callable[[float], BaseModel]: ...


class Model(Protocol):
    """The part of an endpoint that the protocol needs."""

    @property
    def contract(self) -> Contract: ...
    @property
    def version(self) -> int: ...
    def predict_columns(self, columns: Mapping[str, Array]) -> Array: ...


class Refused(DataError):
    """A request that gets an error of the protocol: its status, and the message in `body`."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.body = to_json({"error": message})


class _Tensor(BaseModel):
    model_config = ConfigDict(strict=True)
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] | None = None


class _Output(BaseModel):
    model_config = ConfigDict(strict=True)
    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class _Inference(BaseModel):
    model_config = ConfigDict(strict=True)
    id: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: list[_Tensor]
    outputs: list[_Output] | None = None


def server_metadata(version: str) -> dict[str, Any]:
    """The answer to `GET /v2`."""
    return {"name": "modelyard", "version": version, "extensions": EXTENSIONS}


def model_metadata(model: Model) -> dict[str, Any]:
    """The answer to `GET /v2/models/{name}`."""

    def tensors(rules: Sequence[Column]) -> list[dict[str, Any]]:
        return [{"name": rule.name, "datatype": _DATATYPES[rule.kind], "shape": [-1]} for rule in rules]

    return {
        "name": model.contract.name,
        "versions": [str(model.version)],
        "platform": "bentoml",
        "inputs": tensors(columns.rules(model.contract.request)),
        "outputs": tensors(_output_rules(model.contract.respond)),
    }


def model_ready(model: Model, ready: bool) -> dict[str, Any]:
    """The answer to `GET /v2/models/{name}/ready`."""
    return {"name": model.contract.name, "ready": ready}


def find(model: Model, name: str, version: str | None = None) -> None:
    """Make sure that a path means this model.

    Raises:
        Refused: it means another, with status 404.
    """
    if name != model.contract.name or version not in (None, str(model.version)):
        asked = name if version is None else f"{name}, version {version}"
        raise Refused(
            f"This endpoint serves {model.contract.name}, version {model.version}, not {asked[:100]}.", 404
        )


def infer(
    model: Model,
    rules: Sequence[Column],
    body: bytes,
    headers: Mapping[str, str],
    max_rows: int = MAX_TENSOR_ROWS,
) -> tuple[bytes, dict[str, str]]:
    """The answer to `POST /v2/models/{name}/infer`: its body and headers. Names in `headers` are lower-case.

    Raises:
        Refused: the body is no inference request, or one that the request model would not take.
    """
    head, rest = _parted(body, headers)
    try:
        request = _Inference.model_validate_json(head)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, problem["loc"])) or "body"
        raise Refused(f"An inference request in JSON was expected; {place}: {problem['msg']}") from None
    wanted = _wanted(request, _output_rules(model.contract.respond))
    given = _inputs(request.inputs, {rule.name: rule for rule in rules}, rest, max_rows)
    try:
        checked = columns.check(rules, given)
    except columns.InvalidColumns as error:
        raise Refused(str(error)) from None
    responses = [model.contract.respond(value) for value in model.predict_columns(checked).tolist()]
    answered = columns.from_requests([rule for rule, _ in wanted], responses)
    answer: dict[str, Any] = {"model_name": model.contract.name, "model_version": str(model.version)}
    if request.id is not None:
        answer["id"] = request.id
    answer["outputs"], binary = [], []
    for rule, as_binary in wanted:
        datatype = _DATATYPES[rule.kind]
        output: dict[str, Any] = {"name": rule.name, "datatype": datatype, "shape": [len(responses)]}
        values = _texts(answered[rule.name]) if datatype == "BYTES" else answered[rule.name]
        if as_binary:
            binary.append(_binary(values, datatype))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            output["data"] = values.tolist()
        answer["outputs"].append(output)
    written = to_json(answer, inf_nan_mode="null")
    if not binary:
        return written, {"content-type": "application/json"}
    sizes = {"content-type": "application/octet-stream", _LENGTH: str(len(written))}
    return b"".join([written, *binary]), sizes


@cache
def _output_rules(respond: Callable[[float], BaseModel]) -> tuple[Column, ...]:
    return columns.rules(type(respond(0.0)))


def _parted(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The JSON of a body, and the binary tensors behind it."""
    length = headers.get(_LENGTH)
    if length is None:
        return body, b""
    if not length.isascii() or not length.isdigit() or len(length) > 18 or int(length) > len(body):
        raise Refused(
            f"Inference-Header-Content-Length should be the length of the JSON in a body of {len(body):,} "
            f"bytes, and is {length[:30]!r}."
        )
    return body[: int(length)], body[int(length) :]


def _wanted(request: _Inference, outputs: Sequence[Column]) -> list[tuple[Column, bool]]:
    """The outputs to answer with, and whether in binary form."""
    usually = bool(request.parameters.get("binary_data_output", False))
    if not request.outputs:
        return [(rule, usually) for rule in outputs]
    known = {rule.name: rule for rule in outputs}
    for output in request.outputs:
        if output.name not in known:
            raise Refused(f"There is no output {output.name[:100]!r}; there are: {', '.join(known)}.")
        if {"classification", "shared_memory_region"} & set(output.parameters):
            raise Refused(f"Output {output.name}: only values are answered, in JSON or in binary form.")
    return [
        (known[output.name], bool(output.parameters.get("binary_data", usually)))
        for output in request.outputs
    ]


def _inputs(
    tensors: Sequence[_Tensor], rules: Mapping[str, Column], rest: bytes, max_rows: int
) -> dict[str, Array]:
    given: dict[str, Array] = {}
    place = 0
    for tensor in tensors:
        rule = rules.get(tensor.name)
        if rule is None or tensor.name in given:
            why = "there is no such input" if rule is None else "it came before"
            raise Refused(f"Input {tensor.name[:100]!r}: {why}; there are: {', '.join(rules)}.")
        if tensor.datatype not in _TAKEN[rule.kind]:
            raise Refused(
                f"Input {tensor.name}: {_DATATYPES[rule.kind]} was expected, {tensor.datatype[:30]!r} came."
            )
        rows = tensor.shape[0] if tensor.shape else 0
        if tensor.shape not in ([rows], [rows, 1]) or not 0 < rows <= max_rows:
            raise Refused(
                f"Input {tensor.name}: a shape of [n] or [n, 1] was expected, n from 1 to {max_rows:,}, and "
                f"{str(tensor.shape)[:100]} came."
            )
        size = tensor.parameters.get("binary_data_size")
        if (size is None) == (tensor.data is None):
            raise Refused(f"Input {tensor.name}: either data or binary_data_size was expected.")
        if tensor.data is not None:
            values = _objects(_flat(tensor.data))
        elif type(size) is int and 0 <= size <= len(rest) - place:
            values = _unpacked(tensor, rest[place : place + size], rows)
            place += size
        else:
            raise Refused(f"Input {tensor.name}: the body ends before binary_data_size, {size!r:.30}.")
        if len(values) != rows:
            raise Refused(f"Input {tensor.name}: {rows:,} values were expected, and {len(values):,} came.")
        given[tensor.name] = values
    if place != len(rest):
        raise Refused(f"The body has {len(rest) - place:,} bytes that belong to no input.")
    return given


def _flat(data: list[Any]) -> list[Any]:
    """Values in the order of rows; `data` is flat, or holds a list for each row."""
    if not any(isinstance(row, list) for row in data):
        return data
    return [value for row in data for value in (row if isinstance(row, list) else [row])]


def _unpacked(tensor: _Tensor, data: bytes, rows: int) -> Array:
    """The values of a binary tensor."""
    if tensor.datatype == "BYTES":
        return _objects(_unpacked_texts(tensor.name, data))
    dtype = np.dtype(_NUMPY[tensor.datatype])
    if len(data) != rows * dtype.itemsize:
        raise Refused(
            f"Input {tensor.name}: {rows:,} values of {tensor.datatype} have {rows * dtype.itemsize:,} "
            f"bytes, and {len(data):,} came."
        )
    # A bool of any other byte than 0 and 1 is none to numpy.
    return np.frombuffer(data, dtype="u1").astype(bool) if dtype.kind == "b" else np.frombuffer(data, dtype)


def _unpacked_texts(name: str, data: bytes) -> list[str]:
    texts = []
    place = 0
    while place < len(data):
        try:
            (size,) = struct.unpack_from("<I", data, place)
            text = data[place + 4 : place + 4 + size].decode()
        except (struct.error, UnicodeDecodeError):
            size, text = len(data), ""
        place += 4 + size
        if place > len(data):
            raise Refused(
                f"Input {name}: a length of four bytes and a text in UTF-8 was expected for each value."
            )
        texts.append(text)
    return texts


def _objects(values: list[Any]) -> Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _texts(values: Array) -> Array:
    """Values as texts; moments in ISO's form."""
    if values.dtype == object:
        return values
    return _objects([None if moment is None else moment.isoformat() for moment in values.tolist()])


def _binary(values: Array, datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.asarray(values, dtype=_NUMPY[datatype]).tobytes()
    texts = [b"" if value is None else str(value).encode() for value in values]
    return b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))
