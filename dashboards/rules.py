"""The alert rules for Grafana: what should wake someone when the built-in notifications are not used.

Drift itself is judged by Driftline, under its false-alarm budget: the first rule only passes on what the judge has
decided. The others watch the machine. A rule's query returns a row a thing to watch: its labels, then ``value``.
"""

from importlib import resources
from typing import Literal

import msgspec


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule.

    Parameters
    ----------
    name
        Unique; the query is ``queries/rule_NAME.sql``.
    above
        Fires where ``value`` is above this.
    for_s
        How long it must hold.
    over_s
        The stretch of time that the query sees.
    labels
        Columns of the query that name what is watched.
    summary, todo
        For the person who is woken; Grafana fills ``{{ $labels.x }}`` in.
    """

    name: str
    title: str
    above: float
    for_s: int
    over_s: int
    severity: Literal["warning", "critical"]
    labels: tuple[str, ...]
    summary: str
    todo: str

    @property
    def sql(self) -> str:
        """The query, with Grafana's macros in it."""
        return resources.files("dashboards").joinpath("queries", f"rule_{self.name}.sql").read_text()


RULES: tuple[Rule, ...] = (
    Rule(
        name="paged",
        title="A model should not be trusted",
        above=0,
        for_s=0,
        over_s=86_400,
        severity="critical",
        labels=("model", "incident", "severity_of_incident"),
        summary="{{ $labels.model }}: incident {{ $labels.incident }} ({{ $labels.severity_of_incident }}) is open",
        todo="Open the incident: its first sentence says what moved, since when, and what it costs.",
    ),
    Rule(
        name="silent",
        title="A model has fallen silent",
        above=900,
        for_s=120,
        over_s=86_400,
        severity="critical",
        labels=("model",),
        summary="{{ $labels.model }} has answered nothing for more than 15 minutes",
        todo="Look at the lag of its requests: if it grows, the workers stand; if not, its producer does.",
    ),
    Rule(
        name="refused",
        title="Requests are refused",
        above=0.01,
        for_s=300,
        over_s=900,
        severity="warning",
        labels=("stage",),
        summary="more than 1 % of the records are refused by {{ $labels.stage }}",
        todo="`driftline dead-letters list` groups them by reason; mend the producer, then redrive.",
    ),
    Rule(
        name="behind",
        title="Drift is not being judged",
        above=1_800,
        for_s=300,
        over_s=86_400,
        severity="warning",
        labels=("model",),
        summary="the newest report of {{ $labels.model }} is half an hour behind its predictions",
        todo="Look at the monitor: `driftline status`, then its log.",
    ),
)
