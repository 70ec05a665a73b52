"""One column of anything as one plain Arrow array, and what is made of it: float32 numbers, or codes of levels.

Plain are null, booleans, integers, float32, float64, decimals, text, dictionaries of text, dates and times, bytes, and
nested types; what else there is (sparse and nullable pandas columns, periods, UUIDs, views, halves, dictionaries of
numbers, extension types) becomes one of them.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streams.wire.spelling import boolean_of, level_text, missing

#: Values of a column of mixed objects that have a level of their own.
_LEVELS = (str, bool, int, float, Decimal, np.generic, UUID, bytes)


class ColumnError(ValueError):
    """A column that cannot be read as the kind it should have."""


def column(values: Any) -> pa.Array:
    """Turn an Arrow array, chunked array, pandas Series, NumPy array or sequence into one plain Arrow array.

    NaN of a frame becomes null. Objects of several numeric types become numbers; those of several other types become
    text, each as `streams.wire.spelling.level_text` spells it.

    Raises
    ------
    ColumnError
        Values that are neither numbers, truth values, text nor times, as complex numbers are.

    >>> column([1, "a", None]).to_pylist(), column([Decimal("1.5"), 0.0]).type
    (['1', 'a', None], DataType(double))
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks == 1 else values.unify_dictionaries().combine_chunks()
    if isinstance(values, pa.Array):
        return plain(values)
    values = _dense(values)
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = _of_objects(values)
    return column(array) if isinstance(array, pa.ChunkedArray) else plain(array)


def _dense(values: Any) -> Any:
    """Undo what pandas does to a column and Arrow does not know: sparse arrays, periods, categories, long doubles."""
    dtype: Any = getattr(values, "dtype", None)
    of = type(dtype).__name__
    if of == "SparseDtype":
        return np.asarray(values)
    if of == "PeriodDtype":
        return (values.dt if hasattr(values, "dt") else values).to_timestamp()
    if of == "IntervalDtype":
        return np.array([None if missing(value) else str(value) for value in values], object)
    if of == "CategoricalDtype":  # Its values are levels, whatever their type.
        codes = np.asarray(values.cat.codes if hasattr(values, "cat") else values.codes, np.int32)
        texts = pa.array([level_text(value) for value in dtype.categories], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), texts)
    if getattr(dtype, "kind", "") == "f" and getattr(dtype, "itemsize", 8) > 8:
        return np.asarray(values, np.float64)
    return values


def _of_objects(values: Any) -> pa.Array:
    present_or_none = [None if missing(value) else value for value in values]
    present = [value for value in present_or_none if value is not None]
    odd = next((value for value in present if not isinstance(value, _LEVELS) or isinstance(value, np.complexfloating)),
               None)  # fmt: skip
    if odd is not None:
        raise ColumnError(
            f"numbers, true/false, text or times expected, got {type(odd).__name__} ({str(odd)[:40]!r}); leave the "
            "column out, or make numbers or text of it"
        )
    truths = sum(isinstance(value, bool | np.bool_) for value in present)
    numbers = sum(isinstance(value, int | float | Decimal | np.number) for value in present)
    if truths and all(not isinstance(v, str) and boolean_of(v) is not None for v in present):
        return pa.array([None if value is None else boolean_of(value) for value in present_or_none], pa.bool_())
    if numbers == len(present) and not any(isinstance(value, bool) for value in present):
        return pa.array(
            [None if value is None else float(value) for value in present_or_none], pa.float64(), from_pandas=True
        )
    return pa.array([None if value is None else level_text(value) for value in present_or_none], pa.string())


def plain(array: pa.Array) -> pa.Array:
    """Make one of the plain types of an Arrow array; see the module."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _of_extension(array)
    if pt.is_dictionary(kind):
        return _of_dictionary(array)
    if pt.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if pt.is_string_view(kind):
        return array.cast(pa.string())
    if pt.is_float16(kind):
        return array.cast(pa.float32())
    if kind == pa.binary_view():
        return array.cast(pa.binary())
    return array


def _of_extension(array: pa.Array) -> pa.Array:
    name = array.type.extension_name
    if name == "arrow.uuid":
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    if name == "pandas.period":
        return column(array.to_pandas())
    if name == "pandas.interval":
        return pa.array([None if missing(v) else str(v) for v in array.to_pandas()], pa.string())
    return plain(array.storage)


def _of_dictionary(array: pa.DictionaryArray) -> pa.Array:
    """Dictionaries of text stay; those of anything else are only a way to store it."""
    of = array.type.value_type
    if is_text(of):
        return array if pt.is_string(of) else array.cast(pa.dictionary(array.type.index_type, pa.string()))
    return plain(array.dictionary_decode())


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds text, however it is laid out."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


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
    array = column(values)
    if pt.is_float32(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    # By way of float64 always, so that a block with nulls rounds as one without.
    wide = doubles(array, name)
    with np.errstate(over="ignore"):
        return np.asarray(wide, dtype=np.float32)


def doubles(values: Any, name: str = "column") -> np.ndarray:
    """Read a column as float64 [rows]; null is NaN.

    Raises
    ------
    ColumnError
        Text that is no number, or times.
    """
    array = column(values)
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        return np.asarray(pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ColumnError(f"{name}: numeric expected, got {array.type} ({error}); convert it, or watch it as "
                          f"categorical with kinds={{{name!r}: 'categorical'}}") from error  # fmt: skip


def levels(values: Any) -> tuple[np.ndarray, list[str | None]]:
    """Read a column as codes int32 [rows] (-1 is null) into a list of level texts (None means null, too).

    Raises
    ------
    ColumnError
        Values that hold more than one level each.

    >>> levels([16.0, 17, None, 16])
    (array([ 0,  1, -1,  0], dtype=int32), ['16', '17'])
    """
    array = column(values)
    if pt.is_null(array.type):
        return np.full(len(array), -1, np.int32), []
    if pt.is_nested(array.type):
        raise ColumnError(f"levels expected, got {array.type}; leave the column out, or make one level of each value")
    if not pt.is_dictionary(array.type):
        array = pc.dictionary_encode(array)
    codes = pc.fill_null(array.indices.cast(pa.int32()), -1)
    return codes.to_numpy(zero_copy_only=False), dictionary_texts(array.dictionary)


def dictionary_texts(values: pa.Array) -> list[str | None]:
    """Texts of distinct values. A float32 has its own shortest text: 0.1, not 0.10000000149011612."""
    if pt.is_floating(values.type):
        several: Any = values.to_numpy(zero_copy_only=False)
    else:
        several = values.to_pylist()
    return [None if missing(value) else level_text(value) for value in several]
