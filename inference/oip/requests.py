"""A request for scores as either wire gives it, and the matrix in it.

A model takes one tensor, ``matrix``, FP32 [rows, features], whose cells are as `streams.wire.schema` says: levels and
booleans as codes, a missing number as NaN. All of it is checked before the rows join those of others: a level's code
that is none would read beside a table on a CPU, and on a GPU end the process.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from inference.oip.refusals import InvalidRequest, shown
from streams.wire.schema import FeatureSchema

INPUT, OUTPUT, DATATYPE = "matrix", "scores", "FP32"
#: Asks for all rows to be scored at one of the model's shapes, so that a score is made again bit for bit.
BUCKET = "bucket"
_ID_CHARS_MAX = 256
_CELL_BYTES = 4


class Tensor(msgspec.Struct, frozen=True):
    """An input tensor: its values as little-endian bytes, or as numbers, row by row."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | None = None
    values: Sequence[Any] | None = None


class InferRequest(msgspec.Struct, frozen=True):
    """What a client asks; ``outputs`` are the tensors that it names, all where it names none."""

    model: str
    version: str
    id: str
    tensors: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()
    bucket: int = 0


class InferAnswer(msgspec.Struct, frozen=True):
    """What it gets.

    Attributes
    ----------
    scores
        float32 [rows, outputs]; NaN in rows that have none.
    parameters
        ``buckets`` is JSON, ``[[rows of the shape, rows of the request], ...]`` in the order of the rows;
        ``failed_rows`` is there where rows failed, JSON ``{"3": "why"}``.
    """

    model: str
    version: str
    id: str
    scores: np.ndarray
    parameters: dict[str, str]


def matrix_of(request: InferRequest, schema: FeatureSchema, rows_max: int) -> np.ndarray:
    """Check a request and give its matrix, float32 [rows, features], read-only.

    Parameters
    ----------
    request
        What a client asks.
    schema
        Features of the version.
    rows_max
        Rows that one request may have.

    Raises
    ------
    InvalidRequest
        It is none for this version.
    """
    if len(request.id) > _ID_CHARS_MAX:
        raise InvalidRequest(f"the id has {len(request.id)} characters; {_ID_CHARS_MAX} are the most")
    if strange := [name for name in request.outputs if name != OUTPUT]:
        raise InvalidRequest(f"there is no output {shown(strange[0])}; ask for {OUTPUT!r}, or name none")
    if [tensor.name for tensor in request.tensors] != [INPUT]:
        came = ", ".join(shown(tensor.name) for tensor in request.tensors[:5]) or "none"
        raise InvalidRequest(f"{len(request.tensors)} input tensors came ({came}); send one, {INPUT!r}")
    tensor = request.tensors[0]
    rows = _rows(tensor, len(schema), rows_max)
    matrix = _numbers(tensor, rows * len(schema)).reshape(rows, len(schema))
    _check_codes(matrix, schema)
    return matrix


def _rows(tensor: Tensor, features: int, rows_max: int) -> int:
    wanted = f"send {DATATYPE} [rows, {features}]"
    if tensor.datatype != DATATYPE:
        raise InvalidRequest(f"{INPUT!r} is of datatype {shown(tensor.datatype)}; {wanted}")
    if len(tensor.shape) != 2 or tensor.shape[1] != features or tensor.shape[0] < 1:
        raise InvalidRequest(f"{INPUT!r} is of shape {list(tensor.shape[:8])}; {wanted}")
    if tensor.shape[0] > rows_max:
        raise InvalidRequest(f"{INPUT!r} has {tensor.shape[0]} rows; send at most {rows_max} in one request")
    return tensor.shape[0]


def _numbers(tensor: Tensor, count: int) -> np.ndarray:
    if (tensor.raw is None) == (tensor.values is None):
        raise InvalidRequest(f"{INPUT!r} needs its values once: as raw bytes, or as numbers")
    if tensor.raw is not None:
        if len(tensor.raw) != count * _CELL_BYTES:
            raise InvalidRequest(f"{INPUT!r} has {len(tensor.raw)} bytes; its shape needs {count * _CELL_BYTES}")
        return np.frombuffer(tensor.raw, "<f4")
    assert tensor.values is not None
    if len(tensor.values) != count:
        raise InvalidRequest(f"{INPUT!r} has {len(tensor.values)} values; its shape needs {count}")
    with np.errstate(over="ignore"):
        return np.array(tensor.values, np.float32)  # None is NaN


def _check_codes(matrix: np.ndarray, schema: FeatureSchema) -> None:
    for column, feature in enumerate(schema.features):
        if feature.kind == "numeric":
            continue
        cells = matrix[:, column]
        if feature.kind == "boolean":
            fits, wanted = (cells == 0) | (cells == 1) | np.isnan(cells), "0, 1, or NaN where it is missing"
        else:
            fits = (cells >= 0) & (cells <= feature.null_code) & (cells == np.floor(cells))
            wanted = f"a level's code, 0 to {feature.null_code}"
        if not fits.all():
            row = int((~fits).argmax())
            raise InvalidRequest(f"{INPUT!r} has {cells[row]:g} in row {row} for {feature.name!r}; it must be {wanted}")
