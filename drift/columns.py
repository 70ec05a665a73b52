"""One column of a table, as the cells want it: float32 values, or codes of level texts."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.schema import level_text


class ColumnError(ValueError):
    """A column that cannot be read as the kind it should have."""


def arrow(values: Any) -> pa.Array:
    """Turn an Arrow array, chunked array, pandas Series, NumPy array or sequence into one Arrow array.

    NaN becomes null. A sequence that mixes types becomes text, each value as `streams.schema.level_text` spells it.

    Raises
    ------
    ColumnError
        Values that Arrow has no type for, as complex numbers are.

    >>> arrow([1, "a", None]).to_pylist()
    ['1', 'a', None]
    """
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        array = pa.array([None if _missing(v) else level_text(v) for v in values], pa.string())
    except pa.ArrowNotImplementedError as error:
        raise ColumnError(f"numbers, true/false or text expected ({error}); leave the column out") from error
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def floats(values: Any, name: str = "column") -> np.ndarray:
    """Read a column as float32 [rows]; null is NaN, and what float32 cannot hold is infinite.

    Raises
    ------
    ColumnError
        Text that is no number.

    >>> floats([1, None, 2.5])
    array([1. , nan, 2.5], dtype=float32)
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values, dtype=np.float32)
    array = arrow(values)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_float32(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    try:
        # By way of float64 always, so that a block with nulls rounds as one without.
        wide = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ColumnError(f"{name}: numeric expected, got {array.type} ({error}); convert it, or watch it as "
                          f"categorical with kinds={{{name!r}: 'categorical'}}") from error  # fmt: skip
    with np.errstate(over="ignore"):
        return np.asarray(wide, dtype=np.float32)


def levels(values: Any) -> tuple[np.ndarray, list[str | None]]:
    """Read a column as codes int32 [rows] (-1 is null) into a list of level texts (None means null, too).

    Raises
    ------
    ColumnError
        Values that hold more than one level each.

    >>> levels([16.0, 17, None, 16])
    (array([ 0,  1, -1,  0], dtype=int32), ['16', '17'])
    """
    array = arrow(values)
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, np.int32), []
    if pa.types.is_nested(array.type):
        raise ColumnError(f"levels expected, got {array.type}; leave the column out, or make one level of each value")
    if not pa.types.is_dictionary(array.type):
        array = pc.dictionary_encode(array)
    texts = [None if _missing(v) else level_text(v) for v in array.dictionary.to_pylist()]
    codes = pc.fill_null(array.indices.cast(pa.int32()), -1)
    return codes.to_numpy(zero_copy_only=False), texts


def _missing(value: Any) -> bool:
    return value is None or bool(value != value)  # NaN alone differs from itself
