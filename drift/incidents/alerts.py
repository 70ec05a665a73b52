"""Alerts: what tells of an incident, one for each event of its life."""

import math
from collections.abc import Sequence

import msgspec

from drift.incidents import sentences
from drift.incidents.changed_column import Moved
from drift.incidents.changed_levels import moved_levels
from drift.incidents.closed_window import Scene, evidence_of
from drift.incidents.incident import Incident
from drift.incidents.predictions import prediction_effects
from streams.wire.records import Alert, IncidentEvent, MovedColumn, Reach


def alert(
    scene: Scene,
    incident: Incident,
    event: IncidentEvent,
    reach: Reach,
    text: str,
    left: Sequence[Moved] = (),
    worse: bool = False,
) -> Alert:
    """Tell of an incident: one event of its life, with all that is needed to recompute it.

    ``left`` are the columns that have just left an incident that is now empty.
    """
    incident.told += 1
    several = sorted(incident.moved or left, key=lambda moved: -moved.log_evidence)
    name = f"{scene.model}-{incident.number}"
    first = several[0]
    began, low, high = incident.began or (first.change_point, first.low, first.high)
    base = first.base if incident.base is None else incident.base
    incident.last = Alert(
        id=f"{name}/{incident.told}",
        incident=name,
        event=event,
        model=scene.model,
        version=scene.version,
        segment=scene.segment,
        ts=scene.end,
        window_start=scene.start,
        window_end=scene.end,
        kind=sentences.kind(scene, several) if incident.moved or incident.last is None else incident.last.kind,
        severity=incident.severity,
        page=reach == "page",
        reach=reach,
        worse=worse,
        columns=[_column(scene, moved) for moved in several],
        change_point=began,
        change_point_low=low,
        change_point_high=high,
        later=list(incident.later),
        predictions=prediction_effects(scene, base),
        evidence=evidence_of(_together(several)),
        budget=scene.watch.false_alarm_every,
        reference=scene.baseline.reference.id,
        epoch=scene.epoch,
        text=text,
    )
    return incident.last


def farewell(incident: Incident, ts: int, text: str) -> Alert:
    """Close an incident for a reason that is no window's, at event time ``ts``."""
    assert incident.last is not None, incident
    incident.told += 1
    name, told = f"{incident.last.incident}/{incident.told}", "chat" if incident.material else "list"
    return msgspec.structs.replace(
        incident.last, id=name, event="close", page=False, reach=told, worse=False, act="", ts=ts, text=text
    )


def _together(several: Sequence[Moved]) -> float:
    top = max(moved.log_evidence for moved in several)
    return top + math.log(sum(math.exp(moved.log_evidence - top) for moved in several))


def _column(scene: Scene, moved: Moved) -> MovedColumn:
    cells, effect, stretch = scene.baseline.reference.columns[moved.column], moved.effect(scene), moved.stretch(scene)
    return MovedColumn(
        name=cells.name,
        role=cells.role,
        statistic=effect.statistic,
        effect=effect.value,
        effect_low=effect.low,
        effect_high=effect.high,
        tolerance=scene.tolerance(moved.column),
        evidence=evidence_of(moved.log_evidence),
        n=int(stretch.sum()),
        change_point=moved.change_point,
        levels=moved_levels(scene, moved),
        counts=stretch.tolist(),
    )
