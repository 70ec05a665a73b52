"""Incidents: what a person is told about, when, and when no more.

Two gates. **Evidence** names columns and opens an incident: something has changed, at the rate of false alarms that
the user set. **Effect** pages: it has changed by more than the tolerance, for certain. Evidence alone is "changed,
immaterial", recorded and shown; effect alone is a small sample. So a shift that nobody minds wakes nobody, and a
shift that matters is dated to when it began.

`Incidents` keeps the rules (`rules`), `Moved` what is known of a column (`moved`), and `sentences` how it is said.
`Harm` keeps those of performance, for no column need move for a model to be wrong more often, and `Flow` those of the
rows' volume and of silence. Where predictions or performance are told of, `second_opinions` adds what River's detectors
say: named evidence beside ours, which opens and pages nothing.

A name is loaded when it is first asked for: who lists incidents needs the words of `verdict`, and no statistics.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drift.incidents.changed_column import Moved as Moved
    from drift.incidents.closed_window import Scene as Scene
    from drift.incidents.closed_window import evidence_of as evidence_of
    from drift.incidents.incident import Incident as Incident
    from drift.incidents.labelled_window import Labelled as Labelled
    from drift.incidents.lifecycle import Incidents as Incidents
    from drift.incidents.realised_loss import Harm as Harm
    from drift.incidents.spelling import rfc3339 as rfc3339
    from drift.incidents.volume import Flow as Flow

_PUBLIC = {
    "Flow": "drift.incidents.volume",
    "Harm": "drift.incidents.realised_loss",
    "Incident": "drift.incidents.alerts",
    "Incidents": "drift.incidents.lifecycle",
    "Labelled": "drift.incidents.labelled_window",
    "Moved": "drift.incidents.changed_column",
    "Scene": "drift.incidents.closed_window",
    "evidence_of": "drift.incidents.closed_window",
    "rfc3339": "drift.incidents.spelling",
}

__all__ = ["Flow", "Harm", "Incident", "Incidents", "Labelled", "Moved", "Scene", "evidence_of", "rfc3339"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
        return value
    raise AttributeError(f"module 'drift.incidents' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
