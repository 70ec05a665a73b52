"""Where a named column goes: further, back, past the reference to its other side, or somewhere new."""

import numpy as np

from drift.incidents.changed_column import SETTLED_ROWS, ChangedColumn
from drift.incidents.closed_window import EvidenceWindow

#: A return is told when the effect has shrunk to this part of the one told before.
NEARER = 2 / 3


def returning(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether the change led from somewhere else nearer to the reference."""
    before = window.baseline.effect(column.index, column.before).value
    return before > window.tolerance(column.index) / 2 and column.effect(window).value < before


def material(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether it is above its tolerance for certain, and no way back: then a person is told."""
    return not returning(window, column) and column.above_tolerance(window)


def settled(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether enough rows have come since the change to speak of a return."""
    return int(column.stretch(window).sum()) >= SETTLED_ROWS


def back(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether what came since the change is like the reference."""
    return column.effect(window).value < window.tolerance(column.index) / 2


def nearer(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether a third of the way back lies behind it since it was told."""
    if not returning(window, column):
        return False
    reported = column.before if column.reported is None else column.reported
    return column.effect(window).value <= NEARER * window.baseline.effect(column.index, reported).value


def elsewhere(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether it is now materially far from its regime before, for certain; and not on its way back, or on."""
    if returning(window, column) or same_way(window, column):
        return False
    since_then = window.baseline.effect(column.index, column.stretch(window), column.before)
    return since_then.low > window.tolerance(column.index)


def further(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether it has moved on, the way it had moved, by a tolerance since it was told; for certain."""
    if column.reported is None or not same_way(window, column):
        return False
    since_then = window.baseline.effect(column.index, column.stretch(window), column.reported)
    return since_then.low > window.tolerance(column.index)


def same_way(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether it is further away in the direction in which it was when it was told."""
    shares = _shares(window, column)
    return shares is not None and bool((shares[1] - shares[0]) @ (shares[2] - shares[1]) > 0)


def crossed(window: EvidenceWindow, column: ChangedColumn) -> bool:
    """Whether it lies on the other side of the reference than when it was told."""
    shares = _shares(window, column)
    return shares is not None and bool((shares[1] - shares[0]) @ (shares[2] - shares[0]) < 0)


def _shares(window: EvidenceWindow, column: ChangedColumn) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Shares of a column's cells in the reference, when it was told, and now, summed up where the cells have an order;
    None where it was never told.
    """
    if column.reported is None or not column.reported.sum():
        return None
    reference = window.baseline.reference
    ordered = reference.columns[column.index].kind == "numeric"
    expected = reference.expected[window.baseline.cells(column.index)]
    was, reported, now = (counts / counts.sum() for counts in (expected, column.reported, column.stretch(window)))
    return (np.cumsum(was), np.cumsum(reported), np.cumsum(now)) if ordered else (was, reported, now)
