"""Incidents: what a person is told about, when, and when no more.

Two gates. **Evidence** names columns and opens an incident: something has changed, at the rate of false alarms that
the user set. **Effect** pages: it has changed by more than the tolerance, for certain. Evidence alone is "changed,
immaterial", recorded and shown; effect alone is a small sample. So a shift that nobody minds wakes nobody, and a
shift that matters is dated to when it began.

Rules look at a closed window (`closed_window`) and return findings; the `book` names incidents, numbers alerts and
makes every one of them. `lifecycle` has the rules of columns, `changed_column` what is known of one. `realised_loss`
has those of performance by labels, for no column need move for a model to be wrong more often, `estimated_loss` those
without labels; `volume`, `row_quality` and `behind` those of what comes in. Texts are put together of parts (`text`),
and figures are written in one way (`spelling`). Where predictions or performance are told of, `river_opinions` adds
what River's detectors find: named evidence beside ours, which opens and pages nothing.

A name is loaded when it is first asked for: who lists incidents needs the words of `verdict`, and no statistics.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drift.incidents.changed_column import ChangedColumn as ChangedColumn
    from drift.incidents.closed_window import EvidenceWindow as EvidenceWindow
    from drift.incidents.closed_window import evidence_of as evidence_of
    from drift.incidents.incident import Incident as Incident
    from drift.incidents.labelled_window import LabelledWindow as LabelledWindow
    from drift.incidents.lifecycle import Incidents as Incidents
    from drift.incidents.realised_loss import RealisedLoss as RealisedLoss
    from drift.incidents.spelling import rfc3339 as rfc3339
    from drift.incidents.volume import Volume as Volume

_PUBLIC = {
    "ChangedColumn": "drift.incidents.changed_column",
    "EvidenceWindow": "drift.incidents.closed_window",
    "Incident": "drift.incidents.incident",
    "Incidents": "drift.incidents.lifecycle",
    "LabelledWindow": "drift.incidents.labelled_window",
    "RealisedLoss": "drift.incidents.realised_loss",
    "Volume": "drift.incidents.volume",
    "evidence_of": "drift.incidents.closed_window",
    "rfc3339": "drift.incidents.spelling",
}

__all__ = [
    "ChangedColumn",
    "EvidenceWindow",
    "Incident",
    "Incidents",
    "LabelledWindow",
    "RealisedLoss",
    "Volume",
    "evidence_of",
    "rfc3339",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
        return value
    raise AttributeError(f"module 'drift.incidents' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
