"""The finding of an incident about columns: all that is needed to recompute its claim."""

import math
from collections.abc import Sequence

from drift.incidents.book import Finding
from drift.incidents.changed_column import ChangedColumn
from drift.incidents.changed_levels import changed_levels, kind
from drift.incidents.closed_window import EvidenceWindow, evidence_of
from drift.incidents.incident import Incident
from drift.incidents.predictions import prediction_effects
from drift.incidents.text import Text
from streams.wire.records import IncidentEvent, MovedColumn, Reach


def column_finding(
    window: EvidenceWindow,
    incident: Incident,
    event: IncidentEvent,
    reach: Reach,
    text: Text,
    left: Sequence[ChangedColumn] = (),
    worse: bool = False,
) -> Finding:
    """One event in the life of an incident about columns.

    Parameters
    ----------
    window, incident
        The window, and the incident as it stands after it.
    event, reach, text, worse
        As of the finding.
    left
        The columns that have just left an incident that is now empty.
    """
    several = sorted(incident.columns or left, key=lambda column: -column.log_evidence)
    first = several[0]
    base = first.base if incident.base is None else incident.base
    return Finding(
        incident=incident.name(window.context.model),
        event=event,
        reach=reach,
        page=reach == "page",
        worse=worse,
        kind=kind(window, several) if incident.columns or incident.last is None else incident.last.kind,
        severity=incident.severity,
        text=text,
        columns=[_column(window, column) for column in several],
        change=incident.began or (first.change_point, first.low, first.high),
        later=list(incident.later),
        predictions=prediction_effects(window, base),
        evidence=evidence_of(_together(several)),
        reference=window.baseline.reference.id,
    )


def _together(several: Sequence[ChangedColumn]) -> float:
    top = max(column.log_evidence for column in several)
    return top + math.log(sum(math.exp(column.log_evidence - top) for column in several))


def _column(window: EvidenceWindow, column: ChangedColumn) -> MovedColumn:
    cells = window.baseline.reference.columns[column.index]
    effect, stretch = column.effect(window), column.stretch(window)
    return MovedColumn(
        name=cells.name,
        role=cells.role,
        statistic=effect.statistic,
        effect=effect.value,
        effect_low=effect.low,
        effect_high=effect.high,
        tolerance=window.tolerance(column.index),
        evidence=evidence_of(column.log_evidence),
        n=int(stretch.sum()),
        change_point=column.change_point,
        levels=column.levels if column.unsettled(window) else changed_levels(window, column),
        counts=stretch.tolist(),
    )
