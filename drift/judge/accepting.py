"""Re-baselining: an incident is closed, and what it is about is compared, from here on, with its newest rows."""

import numpy as np

from drift.evidence import Detector
from drift.incidents import Incident
from drift.incidents.changed_column import SETTLE_ROWS
from drift.judge.segment import Lane
from drift.reference.baseline import Baseline
from drift.reference.new_normal import NewNormal


class ActError(ValueError):
    """An act that cannot be: its incident is unknown or closed, or nothing can be accepted of it."""


def accept(lane: Lane, baseline: Baseline, incident: str, key: str) -> tuple[int, list[str]]:
    """Make the rows since an incident's change point what is expected, and close the incident.

    Parameters
    ----------
    baseline
        What the lane's windows are measured with.
    incident, key
        Names of the incident and of the act.

    Returns
    -------
    How many rows are expected from here on, and the columns or the figure that the incident is about.

    Raises
    ------
    ActError
        The incident is about neither columns nor performance, or has too few rows since its change point.
    """
    normal = lane.normal or NewNormal(key=key)
    columns, labels = dict(normal.columns), normal.labels
    standing = next((i for i in lane.incidents.open if i.last and i.last.incident == incident), None)
    if standing is not None and lane.detector is not None:
        names = [baseline.reference.columns[moved.column].name for moved in standing.moved]
        rows = _columns(lane.detector, baseline, standing, columns)
        lane.incidents.open.remove(standing)
    elif lane.harm is not None and lane.harm.open is not None and lane.harm.open.last.incident == incident:
        regime, names = lane.harm.open.told, [lane.harm.open.metric]
        if regime is None:
            raise ActError(f"{incident} is not above its tolerance for certain; there is nothing to accept yet")
        rows, labels = regime.rows, regime.sums.copy()
        _require_rows(incident, rows, "rows with labels say")
        lane.harm = None
    else:
        raise ActError(f"{incident} is about neither columns nor performance: mute it, or mend what it is about")
    lane.normal = NewNormal(key=key, columns=columns, labels=labels)
    return rows, names


def _columns(detector: Detector, baseline: Baseline, incident: Incident, columns: dict[int, np.ndarray]) -> int:
    """Make the counts since each column's latest change the expected ones, and let its evidence begin again."""
    spans = [(moved, baseline.cells(moved.column)) for moved in incident.moved]
    stretches = [detector.counts[cells] - moved.base[cells] for moved, cells in spans]
    rows = min(int(stretch.sum()) for stretch in stretches)
    _require_rows(f"{incident.last.incident if incident.last else incident.number}", rows)
    for (moved, cells), stretch in zip(spans, stretches, strict=True):
        columns[moved.column] = stretch.copy()
        detector.pool[cells] = stretch
        detector.anew[moved.column] = detector.windows
    return rows


def _require_rows(incident: str, rows: int, say: str = "rows say") -> None:
    if rows < SETTLE_ROWS:
        raise ActError(
            f"only {rows:,} {say} how things are since {incident} changed last; wait for {SETTLE_ROWS:,} of them"
        )
