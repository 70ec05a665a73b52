"""Values in: two columns made comparable."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from drift.cells import binning, columns
from drift.cells.cells import Cells

#: The square root of the largest float64, and some room.
HUGE = 1e150

Pair = tuple[np.ndarray, np.ndarray]


def is_numeric(values: Any) -> bool:
    """Numbers, but neither true/false nor text nor categories."""
    kind = columns.arrow(values).type
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) or pt.is_null(kind))


def numbers(values: Any, infinite: bool) -> tuple[np.ndarray, str]:
    """Values of a numeric column in float64, and a note on what was set aside.

    Parameters
    ----------
    infinite
        Whether infinities may stay (they have a rank, but no size).
    """
    array = columns.arrow(values)
    if not is_numeric(array) and not pt.is_boolean(array.type):
        raise columns.ColumnError(f"numbers expected, got {array.type}; choose chi2, tvd or another method over levels")
    floats = np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    kept = floats[~np.isnan(floats) if infinite else np.isfinite(floats)]
    aside = len(floats) - len(kept)
    what = "null" if infinite else "null or infinite"
    return kept, f"{aside} {what} values set aside" if aside else ""


def vectors(values: Any) -> tuple[np.ndarray, str]:
    """Rows of a column or of a table of numbers, float64 [rows, dimensions], and a note on what was set aside."""
    if len(getattr(values, "shape", ())) < 2 and not isinstance(values, pa.Table):
        try:
            flat, note = numbers(values, infinite=False)
            return flat.reshape(-1, 1), note
        except columns.ColumnError:
            if not any(isinstance(row, list | tuple | np.ndarray) for row in list(values)[:1]):
                raise
            values = list(values)
    try:
        wide = np.asarray(values.to_pandas() if isinstance(values, pa.Table) else values, np.float64)
    except (TypeError, ValueError) as error:
        raise columns.ColumnError(f"vectors of numbers expected ({error}); leave out what is no number") from None
    kept = np.isfinite(wide).all(axis=1)
    aside = int((~kept).sum())
    return wide[kept], f"{aside} rows with null or infinite values set aside" if aside else ""


def refuse_huge(method: str, *sides: np.ndarray) -> None:
    """Refuse values whose squares no float64 holds."""
    largest = max(float(np.abs(side).max()) for side in sides)
    if HUGE < largest < np.inf:
        raise columns.ColumnError(f"{method}: values up to {largest:.3g} are too large to be added up; divide them")


def counts(reference: Any, current: Any, edges: Any = None) -> Pair:
    """Counts of both sides over common cells, int64; null is a cell where there is one.

    Parameters
    ----------
    edges
        Inner edges of the cells ``(-inf, e1) [e1, e2) ... [ek, inf)`` for a numeric column; by default the cells that
        a reference fitted on these values would freeze, but for those that are empty on both sides.
    """
    if edges is not None:
        inner = np.asarray(edges, np.float64)
        sides = [_binned(values, inner) for values in (reference, current)]
        keep = np.ones(len(inner) + 2, bool)
        keep[-1] = any(side[-1] for side in sides)
        return sides[0][keep], sides[1][keep]
    if is_numeric(reference) and is_numeric(current):
        cells = Cells(name="values", edges=binning.edges(columns.floats(reference)))
        was, now = (np.bincount(cells.index(values), minlength=cells.size) for values in (reference, current))
    else:
        was, now = _levels(reference, current)
    seen = (was + now) > 0
    return was[seen], now[seen]


def _binned(values: Any, inner: np.ndarray) -> np.ndarray:
    floats = np.asarray(columns.arrow(values).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    cells = np.searchsorted(inner, floats, side="right")
    cells[np.isnan(floats)] = len(inner) + 1
    return np.bincount(cells, minlength=len(inner) + 2)


def _levels(reference: Any, current: Any) -> Pair:
    sides = [columns.levels(values) for values in (reference, current)]
    known = sorted({text for _, texts in sides for text in texts if text is not None}, key=binning.natural)
    cells = Cells(name="values", kind="categorical", levels=tuple(known))
    was, now = (np.bincount(cells.positions(texts)[codes], minlength=cells.size) for codes, texts in sides)
    return was, now


def two_levels(reference: Any, current: Any) -> Pair:
    """Counts of the levels of both sides, null set aside, in order: 0 before 1, false before true, no before yes."""
    was, now = (side[:-2] for side in _levels(reference, current))  # All but unseen and null.
    return was, now
