"""Tables in: what the features of a table are, and its rows as a model takes them.

>>> table = pa.table({"age": [41, None, 7], "city": ["Rome", "Oslo", "Rome"], "vip": [True, None, False]})
>>> schema = FeatureSchema(infer_features(table))
>>> [(f.name, f.kind, f.categories, f.low, f.high) for f in schema.features][:2]
[('age', 'numeric', (), 3.6, 44.4), ('city', 'categorical', ('Oslo', 'Rome'), None, None)]
>>> matrix_of(table, schema).tolist()
[[41.0, 1.0, 1.0], [nan, 0.0, nan], [7.0, 1.0, 0.0]]
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from inference.onboarding.not_features import LEVELS_MAX
from inference.packages.model_toml import nearest
from streams import tables
from streams.tables import TableError
from streams.tables.kinds import kind_of
from streams.tables.values import floats, levels
from streams.wire.rows import level_codes
from streams.wire.schema import RESERVED, Feature, FeatureSchema, Kind
from streams.wire.spelling import boolean_of

__all__ = ["TableError", "as_table", "infer_features", "levels_of", "matrix_of", "natural", "texts_of"]

# A plausible range is the training data's with this share of its width added at both ends, never across zero.
_RANGE_MARGIN = 0.1


def as_table(table: Any, kinds: Mapping[str, Kind] | None = None) -> pa.Table:
    """Take an Arrow table, a pandas frame, or the path of a Parquet or CSV file; see `streams.tables.read`."""
    return tables.read(table, kinds)


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
    kind = kind_of(column.type)
    if kind == "boolean":
        return Feature(name, "boolean")
    if kind == "categorical":
        texts = sorted(levels_of(column), key=natural)
        if len(texts) > levels_max:
            raise TableError(f"column {name!r} has {len(texts)} levels, at most {levels_max} are taken; exclude it")
        if not texts:
            raise TableError(f"column {name!r} holds nothing but nulls; exclude it")
        return Feature(name, "categorical", categories=tuple(texts))
    if kind is None:
        raise TableError(
            f"column {name!r} is {column.type}; features are numbers, text or booleans: convert or exclude it"
        )
    values = floats(column, name)
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
    """Distinct levels of a column, in order of appearance, null left out."""
    codes, texts = levels(column)
    seen = np.unique(codes[codes >= 0], return_index=True)
    order = seen[0][np.argsort(seen[1])]
    return list(dict.fromkeys(text for text in (texts[code] for code in order) if text is not None))


def texts_of(column: pa.ChunkedArray) -> np.ndarray:
    """A column as text, null as None: object [rows]."""
    codes, texts = levels(column)
    rows: np.ndarray = np.array([*texts, None], object)[codes]
    return rows


def matrix_of(table: pa.Table, schema: FeatureSchema) -> np.ndarray:
    """Rows of a table as float32 [rows, features]; see `streams.wire.schema` for what a cell holds."""
    matrix = np.empty((table.num_rows, len(schema)), np.float32)
    for j, feature in enumerate(schema.features):
        if feature.name not in table.column_names:
            raise TableError(f"column {feature.name!r} is not in the table{nearest(feature.name, schema.names)}")
        column = table[feature.name]
        if feature.kind == "numeric":
            matrix[:, j] = floats(column, feature.name)
            continue
        codes, texts = levels(column)
        if feature.kind == "categorical":
            places = level_codes(feature.categories)
            codes_of_texts = [feature.null_code if t is None else places.get(t, feature.unseen_code) for t in texts]
            matrix[:, j] = np.array([*codes_of_texts, feature.null_code], np.float32)[codes]
        else:
            matrix[:, j] = np.array([*(_truth(text, feature.name) for text in texts), np.nan], np.float32)[codes]
    return matrix


def _truth(text: str | None, name: str) -> float:
    truth = boolean_of(text)
    if truth is None and text is not None:
        raise TableError(f"column {name!r} holds {text[:60]!r}; true or false expected, or 1 or 0")
    return float("nan") if truth is None else float(truth)
