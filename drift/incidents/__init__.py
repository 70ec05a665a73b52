"""Incidents: what a person is told about, when, and when no more.

Two gates. **Evidence** names columns and opens an incident: something has changed, at the rate of false alarms that
the user set. **Effect** pages: it has changed by more than the tolerance, for certain. Evidence alone is "changed,
immaterial", recorded and shown; effect alone is a small sample. So a shift that nobody minds wakes nobody, and a
shift that matters is dated to when it began.

`Incidents` keeps the rules (`rules`), `Moved` what is known of a column (`moved`), and `sentences` how it is said.
`Harm` keeps those of performance, for no column need move for a model to be wrong more often, and `Flow` those of the
rows' volume and of silence. Where predictions or performance are told of, `second_opinions` adds what River's detectors
say: named evidence beside ours, which opens and pages nothing.
"""

from drift.incidents.alerts import Incident
from drift.incidents.flow import Flow
from drift.incidents.harm import Harm
from drift.incidents.labelled import Labelled
from drift.incidents.moved import Moved
from drift.incidents.rules import Incidents
from drift.incidents.scene import Scene, evidence_of, rfc3339

__all__ = ["Flow", "Harm", "Incident", "Incidents", "Labelled", "Moved", "Scene", "evidence_of", "rfc3339"]
