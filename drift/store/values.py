"""Columns of an insert, as the driver takes them."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Columns: TypeAlias = Mapping[str, Any] | pa.RecordBatch


def driver_columns(columns: Columns) -> tuple[list[str], list[Any], bool]:
    """Turn columns into what the driver takes: NumPy arrays where all can be, else lists.

    NumPy is several times faster, but the driver has no NumPy path for arrays of arrays. Missing numbers stay NaN,
    missing texts become None.

    Returns
    -------
    names, values, whether they are NumPy arrays

    >>> names, values, as_numpy = driver_columns({"n": [1, 2], "city": pa.array(["Rome", None])})
    >>> values, as_numpy
    ([array([1, 2]), array(['Rome', None], dtype=object)], True)
    """
    if isinstance(columns, pa.RecordBatch):
        columns = dict(zip(columns.schema.names, columns.columns, strict=True))
    arrays = [_array(values) for values in columns.values()]
    lengths = {name: len(values) for name, values in zip(columns, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of different lengths: {lengths}; give every column a value a row")
    as_numpy = all(isinstance(values, np.ndarray) for values in arrays)
    if not as_numpy:
        arrays = [values.tolist() if isinstance(values, np.ndarray) else values for values in arrays]
    return list(columns), arrays, as_numpy


def _array(values: Any) -> Any:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array):
        return _from_arrow(values)
    if hasattr(values, "to_numpy"):  # pandas
        values = values.to_numpy()
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind in "US" else values
    values = list(values)
    if any(isinstance(value, (list, tuple, np.ndarray, Mapping)) for value in values[:1]):
        return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    if all(isinstance(value, (int, float)) for value in values):
        return np.array(values)
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _from_arrow(values: pa.Array) -> Any:
    if pa.types.is_dictionary(values.type):
        texts = np.array([*values.dictionary.to_pylist(), None], dtype=object)
        return texts[values.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)]
    if pa.types.is_nested(values.type):
        return values.to_pylist()
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("ms", values.type.tz)).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return values.to_numpy(zero_copy_only=False)
