"""Arrow: many requests in one message, an IPC stream or file whose columns are found by name.

Columns are the features, and, where they are there, ``id`` (text or integer), ``ts`` (timestamp, integer milliseconds
or RFC 3339) and ``model`` (one for the whole message; the header ``model`` rules over it). Others are left alone. Row
n of the message is row n of its answers, whose default id ends in ``/n``.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streams.block import Block
from streams.codec import (
    Refusal,
    Refused,
    Rows,
    Schemas,
    default_id,
    default_time,
    event_time,
    find,
    header,
    request_id,
)
from streams.formats.sheet import BYTES_MAX, ROWS_MAX, Sheet, joined
from streams.schema import Feature, FeatureSchema, level_text

#: Columns of one message by name; at least one, all of one length.
Columns = dict[str, pa.ChunkedArray]


class ArrowDecoder:
    """Reads blocks of Arrow messages.

    >>> from streams.schema import Feature
    >>> batch = pa.record_batch({"age": [41, None], "id": ["a", None]})
    >>> sink = pa.BufferOutputStream()
    >>> with pa.ipc.new_stream(sink, batch.schema) as writer:
    ...     writer.write_batch(batch)
    >>> decode = ArrowDecoder(lambda model: ("m", FeatureSchema((Feature("age"),))))
    >>> rows, _ = decode(Block.of("requests", 0, [sink.getvalue().to_pybytes()], first=7))
    >>> rows["m"].ids, rows["m"].row.tolist(), rows["m"].matrix.tolist()
    (['a', 'requests/0/7/1'], [0, 1], [[41.0], [nan]])
    """

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def __call__(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
        """Decode a block: rows by model, and the refused records and rows."""
        parts: dict[str, list[Rows]] = {}
        refused: list[Refusal] = []
        for at in range(len(block)):
            try:
                columns = read(block.values[at])
                model, schema = find(self._schemas, _model(columns, header(block, at, "model")))
                sheet = _sheet(columns, schema, block, at)
            except Refused as why:
                refused.append(Refusal(at, *why.args))
                continue
            parts.setdefault(model, []).append(sheet.rows())
            refused += sheet.refusals()
        return {model: joined(several) for model, several in parts.items()}, refused


def read(value: bytes | None) -> Columns:
    """Read one message.

    Raises
    ------
    Refused
        It is no Arrow, too large, or holds no row.
    """
    if not value:
        raise Refused("empty", "$", "the record has no value")
    if len(value) > BYTES_MAX:
        raise Refused("oversize", "$", f"{len(value)} bytes, at most {BYTES_MAX} are read")
    try:
        opened = pa.ipc.open_file if value.startswith(b"ARROW1") else pa.ipc.open_stream
        with opened(value) as reader:
            table: pa.Table = reader.read_all().combine_chunks()
        table.validate(full=True)  # else a strange offset is read outside of the buffers
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise Refused("undecodable", "$", f"no Arrow: {error}") from None
    if not 0 < table.num_rows <= ROWS_MAX:
        reason = "oversize" if table.num_rows else "empty"
        raise Refused(reason, "$", f"{table.num_rows} rows; between 1 and {ROWS_MAX} are read")  # type: ignore[arg-type]
    names: list[str] = table.column_names
    if len(set(names)) < len(names):
        twice = min(name for name in names if names.count(name) > 1)
        raise Refused("undecodable", "$", f"two columns have the name {twice!r}")
    return dict(zip(names, table.columns, strict=True))


def _model(columns: Columns, named: str | None) -> str | None:
    if named is not None or "model" not in columns:
        return named
    names = pc.unique(_plain(columns["model"])).to_pylist()
    if len(names) > 1 or not isinstance(names[0], str | None):
        raise Refused("wrong_type", "$.model", f"one message is for one model, got {str(names[:5])[:200]}")
    return names[0]


def _sheet(columns: Columns, schema: FeatureSchema, block: Block, at: int) -> Sheet:
    n = len(next(iter(columns.values())))
    matrix = np.empty((n, len(schema)), np.float32)
    unseen: dict[int, dict[int, str]] = {}
    bad: list[tuple[Feature, np.ndarray]] = []
    for j, feature in enumerate(schema.features):
        if feature.name not in columns:
            _absent(feature)
            matrix[:, j] = feature.null_code if feature.kind == "categorical" else np.nan
        elif feature.kind == "categorical":
            matrix[:, j], strange = _levels(columns[feature.name], feature)
            if strange:
                unseen[j] = strange
        else:
            matrix[:, j] = _numbers(columns[feature.name], feature)
            if feature.kind == "boolean":
                bad.append((feature, ~np.isnan(matrix[:, j]) & (matrix[:, j] != 0) & (matrix[:, j] != 1)))
    base, arrived = default_id(block, at), default_time(block, at)
    ids = [f"{base}/{row}" for row in range(n)]
    ts = np.full(n, arrived, np.int64)
    sheet = Sheet(schema, matrix, ids, ts, np.full(n, at, np.int64), np.arange(n, dtype=np.int32), unseen)
    for feature, wrong in bad:
        sheet.refuse(wrong, "wrong_type", feature.name, lambda _: "Expected `bool | 0 | 1`")
    sheet.require()
    _own(sheet, columns, block.times[at])
    return sheet


def _own(sheet: Sheet, columns: Columns, arrived_ms: int) -> None:
    """Give rows the ids and times that they bring."""
    own = sheet.whole
    for name, values in (("id", _ids(columns)), ("ts", _times(columns))):
        for n, value in enumerate(values):
            if value is None:
                continue
            try:
                if name == "id":
                    own.ids[n] = request_id(value)
                else:
                    own.ts[n] = event_time(value, arrived_ms)
            except Refused as why:
                sheet.refuse_row(n, why)


def _absent(feature: Feature) -> None:
    if feature.required:
        raise Refused("missing_field", f"$.{feature.name}", f"the batch has no column {feature.name!r}")


def _plain(column: pa.ChunkedArray) -> pa.Array:
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    array: pa.Array = whole.dictionary_decode() if pt.is_dictionary(whole.type) else whole
    return array


def _wrong(name: str, expected: str, kind: pa.DataType) -> Refused:
    return Refused("wrong_type", f"$.{name}", f"Expected a column of {expected}, got {kind}")


def _numbers(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    """Numbers or booleans, float32 [rows]; null is NaN, beyond float32 is infinity."""
    array = _plain(column)
    kind = array.type
    if pt.is_null(kind):
        return np.full(len(array), np.nan, np.float32)
    number = pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind)
    if not (number or (feature.kind == "boolean" and pt.is_boolean(kind))):
        raise _wrong(feature.name, "numbers" if feature.kind == "numeric" else "booleans", kind)
    if pt.is_float32(kind) and not array.null_count:
        return np.asarray(array.to_numpy())
    with np.errstate(over="ignore"):
        return np.asarray(pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float32)


def _levels(column: pa.ChunkedArray, feature: Feature) -> tuple[np.ndarray, dict[int, str]]:
    """Codes of levels, and the texts of those that the model does not know, by row."""
    array = _plain(column)
    kind = array.type
    if pt.is_null(kind):
        return np.full(len(array), feature.null_code), {}
    texts = pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)
    if not (texts or pt.is_integer(kind) or pt.is_floating(kind)):
        raise _wrong(feature.name, "texts or numbers", kind)
    encoded = pc.dictionary_encode(pc.cast(array, pa.large_string()) if pt.is_string_view(kind) else array)
    known = {level: code for code, level in enumerate(feature.categories)}
    levels: list[Any] = encoded.dictionary.to_pylist()
    codes = [feature.null_code if v != v else known.get(level_text(v), feature.unseen_code) for v in levels]
    places = pc.fill_null(encoded.indices, len(levels)).to_numpy(zero_copy_only=False)
    found = np.array([*codes, feature.null_code])[places]
    strange = np.flatnonzero(found == feature.unseen_code).tolist()
    return found, {n: level_text(levels[places[n]]) for n in strange}


def _ids(columns: Columns) -> list[str | int | None]:
    if "id" not in columns:
        return []
    array = _plain(columns["id"])
    kind = array.type
    if not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_integer(kind) or pt.is_null(kind)):
        raise _wrong("id", "texts or integers", kind)
    ids: list[str | int | None] = array.to_pylist()
    return ids


def _times(columns: Columns) -> list[str | int | None]:
    if "ts" not in columns:
        return []
    array = _plain(columns["ts"])
    kind = array.type
    if pt.is_timestamp(kind):
        array = pc.cast(pc.cast(array, pa.timestamp("ms", tz=kind.tz), safe=False), pa.int64())
    elif not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_integer(kind) or pt.is_null(kind)):
        raise _wrong("ts", "timestamps, integer milliseconds or RFC 3339 texts", kind)
    times: list[str | int | None] = array.to_pylist()
    return times
