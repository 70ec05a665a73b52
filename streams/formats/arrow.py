"""Arrow: many requests in one message, an IPC stream or file whose columns are found by name.

Columns are the features, and, where they are there, ``id`` (text or integer), ``ts`` (timestamp, integer milliseconds
or RFC 3339) and ``model`` (one for the whole message; the header ``model`` rules over it). Others are left alone. Row
n of the message is row n of its answers, whose default id ends in ``/n``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streams.formats.envelope import Schemas, default_id, default_time, event_time, find, header, request_id
from streams.formats.known_names import missing, own_names, unknown
from streams.formats.row_batch import RowBatch, joined
from streams.tables.kinds import kind_of
from streams.tables.values import dictionary_texts, is_text
from streams.wire.arrow_bounds import UNPACKED_BYTES_MAX, Columns, read
from streams.wire.block import Block
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Rows, level_codes, takes_truths
from streams.wire.schema import Feature, FeatureSchema
from streams.wire.spelling import boolean_of


class ArrowDecoder:
    """Reads blocks of Arrow messages.

    >>> from streams.wire.schema import Feature
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
                batch = _batch(columns, schema, block, at)
            except Refused as why:
                refused.append(Refusal(at, *why.args))
                continue
            parts.setdefault(model, []).append(batch.rows())
            refused += batch.refusals(model)
        return {model: joined(several) for model, several in parts.items()}, refused


def _model(columns: Columns, named: str | None) -> str | None:
    if named is not None or "model" not in columns:
        return named
    names: set[str | None] = set(_own_values(columns, "model", expected="texts"))
    if len(names) > 1:
        raise Refused(
            "wrong_type", "$.model", f"one message is for one model, got {str(sorted(map(str, names)))[:200]}"
        )
    return names.pop()


def _batch(columns: Columns, schema: FeatureSchema, block: Block, at: int) -> RowBatch:
    if stranger := unknown(own_names(columns), schema):
        raise stranger
    n = len(next(iter(columns.values())))
    matrix = np.empty((n, len(schema)), np.float32)
    unseen: dict[int, dict[int, str]] = {}
    bad: list[tuple[Feature, np.ndarray]] = []
    for j, feature in enumerate(schema.features):
        if feature.name not in columns:
            _absent(feature, columns, schema)
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
    batch = RowBatch(schema, matrix, ids, ts, np.full(n, at, np.int64), np.arange(n, dtype=np.int32), unseen)
    for feature, wrong in bad:
        batch.refuse(wrong, "wrong_type", feature.name, lambda _: "Expected `bool | 0 | 1`")
    batch.require()
    _take_ids_and_times(batch, columns, block.times[at])
    return batch


def _take_ids_and_times(batch: RowBatch, columns: Columns, arrived_ms: int) -> None:
    """Give rows the ids and times that they bring."""
    rows = batch.whole
    ids = _own_values(columns, "id", pt.is_integer, expected="texts or integers")
    times = _own_values(
        columns, "ts", pt.is_integer, pt.is_timestamp, expected="timestamps, integer milliseconds or RFC 3339 texts"
    )
    for name, values in (("id", ids), ("ts", times)):
        for n, value in enumerate(values):
            if value is None:
                continue
            try:
                if name == "id":
                    rows.ids[n] = request_id(value)
                else:
                    rows.ts[n] = event_time(value, arrived_ms)
            except Refused as why:
                batch.refuse_row(n, why)


def _absent(feature: Feature, columns: Columns, schema: FeatureSchema) -> None:
    if feature.required:
        why = Refused("missing_field", f"$.{feature.name}", f"the batch has no column {feature.name!r}")
        raise missing(why, own_names(columns), schema)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()


def _kind(array: pa.Array) -> pa.DataType:
    return array.type.value_type if pt.is_dictionary(array.type) else array.type


def _wrong(name: str, expected: str, kind: pa.DataType) -> Refused:
    return Refused("wrong_type", f"$.{name}", f"Expected a column of {expected}, got {kind}")


def _numbers(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    """Numbers, float32 [rows]; null is NaN, beyond float32 is infinity. Truth values may be numbers, too."""
    array = _whole(column)
    kind = _kind(array)
    if pt.is_null(kind):
        return np.full(len(array), np.nan, np.float32)
    if feature.kind == "boolean" and (pt.is_boolean(kind) or is_text(kind)):
        return _truths(array, feature)
    if not (pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind)):
        raise _wrong(feature.name, "numbers" if feature.kind == "numeric" else "booleans", kind)
    array = array.dictionary_decode() if pt.is_dictionary(array.type) else array
    if pt.is_float32(kind) and not array.null_count:
        return np.asarray(array.to_numpy())
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float32)


def _truths(array: pa.Array, feature: Feature) -> np.ndarray:
    """Truth values by value, float32 [rows]; a text among them that is none is infinite, and so refused by its row."""
    values, places = _encoded(array)
    if len(values) and not any(boolean_of(value) is not None for value in values.to_pylist()):
        raise _wrong(feature.name, "booleans", _kind(array))
    truths = [math.inf if (truth := boolean_of(value)) is None else float(truth) for value in values.to_pylist()]
    numbers: np.ndarray = np.array([*truths, np.nan], np.float32)[places]
    return numbers


def _encoded(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Distinct values and, int64 [rows], the place of each row's among them; behind the last where a row is null.

    One long text that stands in every row is kept once.
    """
    if pt.is_null(array.type):
        return array[:0], np.zeros(len(array), np.int64)
    if pt.is_string_view(array.type):
        _bounded(array)
    encoded = array if pt.is_dictionary(array.type) else pc.dictionary_encode(array)
    places = pc.fill_null(pc.cast(encoded.indices, pa.int64()), len(encoded.dictionary))
    return encoded.dictionary, places.to_numpy(zero_copy_only=False)


def _bounded(views: pa.Array) -> None:
    """Refuse texts that overlap in their buffer and are more, written out, than a message may unpack to."""
    lengths = np.frombuffer(views.buffers()[1], np.int32)[::4][views.offset : views.offset + len(views)]
    size = int(lengths[pc.is_valid(views).to_numpy(zero_copy_only=False)].sum(dtype=np.int64))
    if size > UNPACKED_BYTES_MAX:
        raise Refused("oversize", "$", f"a column has {size} bytes of text, at most {UNPACKED_BYTES_MAX} are read")


def _levels(column: pa.ChunkedArray, feature: Feature) -> tuple[np.ndarray, dict[int, str]]:
    """Codes of levels, and the texts of those that the model does not know, by row."""
    array = _whole(column)
    kind = _kind(array)
    if not (is_text(kind) or kind_of(kind) == "numeric" or (pt.is_boolean(kind) and takes_truths(feature))):
        raise _wrong(feature.name, "texts or numbers", kind)
    values, places = _encoded(array)
    known = level_codes(feature.categories)
    texts = [*dictionary_texts(values), None]
    codes = [feature.null_code if text is None else known.get(text, feature.unseen_code) for text in texts]
    row_codes = np.array(codes)[places]
    strange = np.flatnonzero(row_codes == feature.unseen_code).tolist()
    return row_codes, {n: texts[places[n]] or "" for n in strange}


def _own_values(columns: Columns, name: str, *others: Callable[[pa.DataType], bool], expected: str) -> list[Any]:
    """A column of ours, if it is there, as Python's own values: texts, or one of the other kinds."""
    if name not in columns:
        return []
    array = _whole(columns[name])
    kind = _kind(array)
    if not (is_text(kind) or pt.is_null(kind) or any(is_kind(kind) for is_kind in others)):
        raise _wrong(name, expected, kind)
    values, places = _encoded(array)
    if pt.is_timestamp(kind):
        values = pc.cast(pc.cast(values, pa.timestamp("ms", tz=kind.tz), safe=False), pa.int64())
    decoded = [*values.to_pylist(), None]
    return [decoded[row_code] for row_code in places.tolist()]
