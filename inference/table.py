"""Tables in: what the features of a table are, and its rows as a model takes them.

>>> table = pa.table({"age": [41, None, 7], "city": ["Rome", "Oslo", "Rome"], "vip": [True, None, False]})
>>> schema = FeatureSchema(infer_features(table))
>>> [(f.name, f.kind, f.categories, f.low, f.high) for f in schema.features][:2]
[('age', 'numeric', (), 3.6, 44.4), ('city', 'categorical', ('Oslo', 'Rome'), None, None)]
>>> matrix_of(table, schema).tolist()
[[41.0, 1.0, 1.0], [nan, 0.0, nan], [7.0, 1.0, 0.0]]
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inference.package import nearest
from inference.unfit import LEVELS_MAX
from streams.schema import RESERVED, Feature, FeatureSchema, level_text

# A plausible range is the training data's with this share of its width added at both ends, never across zero.
_RANGE_MARGIN = 0.1


class TableError(ValueError):
    """A table that does not hold what is asked of it; the text names the column and the remedy."""


def as_table(table: Any) -> pa.Table:
    """Take an Arrow table, a pandas frame or the path of a Parquet file."""
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, str | Path):
        return pq.read_table(table)
    return pa.Table.from_pandas(table, preserve_index=False)


def infer_features(
    table: Any, features: Collection[str] | None = None, exclude: Collection[str] = (), levels_max: int = LEVELS_MAX
) -> tuple[Feature, ...]:
    """Infer the inputs of a model from its training data: kinds, categories, plausible ranges; none is required.

    Parameters
    ----------
    table
        See `as_table`.
    features
        Names to take, in this order; all but the excluded and Driftline's own column names when absent.
    exclude
        Columns that are no features: identifiers, labels, another model's scores.
    levels_max
        A text column with more levels is an identifier or free text, and is refused.
    """
    table = as_table(table)
    known = tuple(table.column_names)
    for name in (*(features or ()), *exclude):
        if name not in known:
            raise TableError(f"column {name!r} is not in the table{nearest(name, known)}")
    taken = features or [name for name in known if name not in exclude and name not in RESERVED]
    return tuple(_feature(name, table[name], levels_max) for name in taken)


def _feature(name: str, column: pa.ChunkedArray, levels_max: int) -> Feature:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_boolean(kind):
        return Feature(name, "boolean")
    if pa.types.is_dictionary(column.type) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        levels = sorted(levels_of(column), key=natural)
        if len(levels) > levels_max:
            raise TableError(f"column {name!r} has {len(levels)} levels, at most {levels_max} are taken; exclude it")
        if not levels:
            raise TableError(f"column {name!r} holds nothing but nulls; exclude it")
        return Feature(name, "categorical", categories=tuple(levels))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise TableError(f"column {name!r} is {kind}; features are numbers, text or booleans: convert or exclude it")
    values = _numbers(column)
    values = values[np.isfinite(values)]
    if not len(values):
        return Feature(name)
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * _RANGE_MARGIN
    return Feature(
        name,
        low=round(low - margin if low < 0 else max(0.0, low - margin), 6),
        high=round(high + margin if high > 0 else min(0.0, high + margin), 6),
    )


def natural(level: str) -> tuple[float, str]:
    """Sort key that puts ``9`` before ``16`` and numbers before words."""
    try:
        return float(level), level
    except ValueError:
        return np.inf, level


def levels_of(column: pa.ChunkedArray | pa.Array) -> list[str]:
    """Distinct levels of a column as `level_text` spells them, in order of appearance, null left out."""
    values = pc.unique(column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column)
    return list(dict.fromkeys(level_text(value) for value in values.to_pylist() if value is not None))


def texts_of(column: pa.ChunkedArray) -> np.ndarray:
    """A column as text, null as None: object [rows]."""
    codes, levels = _coded(column)
    texts = np.array([*levels, None], object)
    rows: np.ndarray = texts[codes]
    return rows


def matrix_of(table: pa.Table, schema: FeatureSchema) -> np.ndarray:
    """Rows of a table as float32 [rows, features]; see `streams.schema` for what a cell holds."""
    matrix = np.empty((table.num_rows, len(schema)), np.float32)
    for j, feature in enumerate(schema.features):
        if feature.name not in table.column_names:
            raise TableError(f"column {feature.name!r} is not in the table{nearest(feature.name, schema.names)}")
        column = table[feature.name]
        if feature.kind == "categorical":
            codes, levels = _coded(column)
            place = {level: code for code, level in enumerate(feature.categories)}
            own = [place.get(level, feature.unseen_code) for level in levels]
            matrix[:, j] = np.array([*own, feature.null_code], np.float32)[codes]
        else:
            matrix[:, j] = _numbers(column)
    return matrix


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Codes of a column's rows and the levels they stand for; null has the code after the last."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    flat = coded.unify_dictionaries().combine_chunks()
    flat = flat.chunk(0) if isinstance(flat, pa.ChunkedArray) else flat
    levels = [level_text(value) for value in flat.dictionary.to_pylist()]
    return flat.indices.cast(pa.int32()).fill_null(len(levels)).to_numpy(zero_copy_only=False), levels


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.cast(pa.float64()).to_numpy()
    with np.errstate(over="ignore"):
        narrow: np.ndarray = values.astype(np.float32)
    return narrow
