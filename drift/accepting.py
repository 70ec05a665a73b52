"""Accepting how things are: an incident ends, and what it is about is compared with how it is now."""

from typing import TYPE_CHECKING

import numpy as np

from drift.evidence import Detector
from drift.incidents import Incident
from drift.incidents.moved import SETTLE_ROWS
from drift.new_normal import NewNormal
from drift.yardstick import Yardstick

if TYPE_CHECKING:
    from drift.lane import Lane


class ActError(ValueError):
    """An act that cannot be: its incident is unknown or closed, or nothing can be accepted of it."""


def accept(lane: "Lane", yard: Yardstick, incident: str, key: str) -> tuple[int, list[str]]:
    """Take how things are since an incident began as usual, and end it.

    Parameters
    ----------
    yard
        What the lane's windows are measured with.
    key
        Names what is accepted: the act.

    Returns
    -------
    The rows that say how things are, and the columns or the figure that it is about.

    Raises
    ------
    ActError
        It is about neither columns nor performance, or too few rows say how things are.
    """
    normal = lane.normal or NewNormal(key=key)
    columns, labels = dict(normal.columns), normal.labels
    found = next((one for one in lane.incidents.open if one.last and one.last.incident == incident), None)
    if found is not None and lane.detector is not None:
        names = [yard.reference.columns[moved.column].name for moved in found.moved]
        rows = _columns(lane.detector, yard, found, columns)
        lane.incidents.open.remove(found)
    elif lane.harm is not None and lane.harm.open is not None and lane.harm.open.last.incident == incident:
        told, names = lane.harm.open.told, [lane.harm.open.metric]
        if told is None:
            raise ActError(f"{incident} is not above its tolerance for certain; there is nothing to accept yet")
        rows, labels = told.rows, told.sums.copy()
        _enough(incident, rows)
        lane.harm = None
    else:
        raise ActError(f"{incident} is about neither columns nor performance: mute it, or mend what it is about")
    lane.normal = NewNormal(key=key, columns=columns, labels=labels)
    return rows, names


def _columns(detector: Detector, yard: Yardstick, found: Incident, columns: dict[int, np.ndarray]) -> int:
    """Make the counts since each column's latest change the expected ones, and let its evidence begin anew."""
    spans = [(moved, yard.cells(moved.column)) for moved in found.moved]
    stretches = [detector.counts[cells] - moved.base[cells] for moved, cells in spans]
    rows = min(int(stretch.sum()) for stretch in stretches)
    _enough(f"{found.last.incident if found.last else found.number}", rows)
    for (moved, cells), stretch in zip(spans, stretches, strict=True):
        columns[moved.column] = stretch.copy()
        detector.pool[cells] = stretch
        detector.anew[moved.column] = detector.windows
    return rows


def _enough(incident: str, rows: int) -> None:
    if rows < SETTLE_ROWS:
        raise ActError(
            f"only {rows:,} rows say how things are since {incident} changed last; wait for {SETTLE_ROWS:,} of them"
        )
