"""Re-baselining: an incident is closed, and what it is about is compared, from here on, with its newest rows."""

import numpy as np

from drift.evidence import Detector
from drift.incidents import Incident
from drift.incidents.changed_column import SETTLED_ROWS
from drift.judge.state import SegmentState
from drift.reference.baseline import Baseline
from drift.reference.new_normal import NewNormal


class ActError(ValueError):
    """An act that cannot be: its incident is unknown or closed, or nothing can be accepted of it."""


def accept(state: SegmentState, baseline: Baseline, incident: str, key: str) -> tuple[int, list[str]]:
    """Make the rows since an incident's change point what is expected, and close the incident.

    Parameters
    ----------
    state
        The segment that the incident is of.
    baseline
        What its windows are measured with.
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
    normal = state.normal or NewNormal(key=key)
    columns, labels = dict(normal.columns), normal.labels
    accepted = next((i for i in state.incidents.open if i.last and i.last.incident == incident), None)
    loss = None if state.realised_loss is None else state.realised_loss.open
    if accepted is not None and state.detector is not None:
        names = [baseline.reference.columns[column.index].name for column in accepted.columns]
        rows = _columns(state.detector, baseline, accepted, columns)
        state.incidents.open.remove(accepted)
    elif loss is not None and loss.last is not None and loss.last.incident == incident:
        regime, names = loss.reported, [loss.metric]
        if regime is None:
            raise ActError(f"{incident} is not above its tolerance for certain; there is nothing to accept yet")
        rows, labels = regime.rows, regime.sums.copy()
        _require_rows(incident, rows, "rows with labels say")
        state.realised_loss = None
    else:
        raise ActError(f"{incident} is about neither columns nor performance: mute it, or mend what it is about")
    state.normal = NewNormal(key=key, columns=columns, labels=labels)
    return rows, names


def _columns(detector: Detector, baseline: Baseline, incident: Incident, columns: dict[int, np.ndarray]) -> int:
    """Make the counts since each column's latest change the expected ones, and let its evidence begin again."""
    spans = [(column, baseline.cells(column.index)) for column in incident.columns]
    stretches = [detector.counts[cells] - column.base[cells] for column, cells in spans]
    rows = min(int(stretch.sum()) for stretch in stretches)
    _require_rows(f"{incident.last.incident if incident.last else incident.number}", rows)
    for (column, cells), stretch in zip(spans, stretches, strict=True):
        columns[column.index] = stretch.copy()
        detector.pool[cells] = stretch
        detector.restarted_at[column.index] = detector.windows
    return rows


def _require_rows(incident: str, rows: int, what: str = "rows say") -> None:
    if rows < SETTLED_ROWS:
        raise ActError(
            f"only {rows:,} {what} how things are since {incident} changed last; wait for {SETTLED_ROWS:,} of them"
        )
