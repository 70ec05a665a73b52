"""Which kind a column has by its type, which column is no feature, and what float32 cannot tell apart."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from streams.tables.values import is_text
from streams.wire.schema import RESERVED, Kind

#: Integers with no more distinct values may be codes.
INTEGER_LEVELS_MAX = 20
#: Steps that float32 should still make over the range of a column.
_STEPS_MIN = 64


def kind_of(kind: pa.DataType) -> Kind | None:
    """Kind of a feature of a plain type (see `streams.tables.values`); None where it can be none.

    >>> [kind_of(t) for t in (pa.decimal128(9, 2), pa.bool_(), pa.string(), pa.date32(), pa.binary(4))]
    ['numeric', 'boolean', 'categorical', None, None]
    """
    if pt.is_boolean(kind):
        return "boolean"
    if pt.is_dictionary(kind) or is_text(kind):
        return "categorical"
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) or pt.is_null(kind):
        return "numeric"
    return None


def no_feature(name: str, kind: pa.DataType) -> str:
    """Say why a column can be no feature, by its name and type; empty where it can.

    >>> no_feature("route", pa.string())
    "the name is Driftline's own (so are model, offset, prediction, row, score, version ...); rename it to keep it"
    """
    if not name:
        return "it has no name"
    if name in RESERVED:
        return (
            "the name is Driftline's own (so are model, offset, prediction, row, score, version ...); rename it to "
            "keep it"
        )
    if pt.is_temporal(kind):
        return "a date or time is no feature; derive a number or a category from it"
    if kind_of(kind) is None:
        return f"{kind} holds no single number or level"
    return ""


def codes_perhaps(name: str, distinct: int) -> str:
    """Note on an integer of few values, which may count something or name it."""
    values = "1 distinct value" if distinct == 1 else f"{distinct} distinct values"
    return f"{name!r} is taken as numeric: an integer with {values}; if they are codes, make it categorical"


def coarse(name: str, values: np.ndarray, quantiles: Sequence[float] = ()) -> str:
    """Say what float32 hides of a numeric column, which is what models and cells are given; empty where it is little.

    Parameters
    ----------
    values
        float64 [rows]; NaN is missing. Some of them are enough, if the smallest and the largest are among them.
    quantiles
        At .02, .5 and .98 of all rows; by default those of the values.

    >>> coarse("when", 1e9 + np.arange(10.0))
    "'when' is kept in steps of 64: float32 has no finer ones near 1e+09, and a change of less is not seen; subtract 1e+09 from it, or take a difference"
    """  # noqa: E501
    finite = values[np.isfinite(values)]
    if not len(finite) or (low := finite.min()) == (high := finite.max()):
        return ""
    largest, least = max(abs(low), abs(high)), np.finfo(np.float32).tiny
    if largest > np.finfo(np.float32).max:
        return f"{name!r} has values up to {largest:.3g}, which float32 takes as infinite; divide it, or take its log"
    if largest < least:
        return f"{name!r} has no value larger than {largest:.3g}, which float32 takes as 0; multiply it"
    low, middle, high = quantiles or np.sort(finite)[[int(len(finite) * share) for share in (0.02, 0.5, 0.98)]]
    step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    if high - low >= _STEPS_MIN * step or _is_coarse_itself(finite, step):
        return ""
    return (
        f"{name!r} is kept in steps of {step:.3g}: float32 has no finer ones near {middle:.6g}, and a change of "
        f"less is not seen; subtract {middle:.6g} from it, or take a difference"
    )


def _is_coarse_itself(finite: np.ndarray, step: float) -> bool:
    """Whether the values lie as far from each other as float32 can tell."""
    points = np.unique(finite)
    return len(points) < 2 or bool(np.diff(points).min() >= step)
