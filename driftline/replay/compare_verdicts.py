"""What the judge said live, held against what it says again."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from driftline.replay.rejudge import Retold
from driftline.replay.result import Incident, Pair, Windows, same
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.wire.effects import Publish
from streams.wire.records import Alert, Report

#: Different windows that are named.
NAMED = 5
_CLOCKS_MS_MAX = 600_000

_report = msgspec.json.Decoder(Report).decode
_alert = msgspec.json.Decoder(Alert).decode

_Span = tuple[int, int]


class Heard(msgspec.Struct):
    """Reports (as bytes, too) and alerts, in the order in which they were told."""

    reports: list[tuple[Report, bytes]] = []
    alerts: list[Alert] = []

    def take(self, topic: str, value: bytes) -> None:
        """Add a message."""
        if topic == "reports":
            self.reports.append((_report(value), value))
        elif topic == "alerts":
            self.alerts.append(_alert(value))

    def within(self, spans: Mapping[str, _Span], versions: Mapping[str, set[str]]) -> "Heard":
        """What was told of windows in a model's span, by these versions of it; a model without any has all.

        Reports of earlier windows that were told again stay.
        """

        def ours(said: Report | Alert) -> bool:
            first, last = spans.get(said.model, (1, 0))
            again = isinstance(said, Report) and said.revision > 0
            return (again or first <= said.window_start <= last) and (
                said.version in versions.get(said.model, {said.version})
            )

        return Heard([one for one in self.reports if ours(one[0])], [one for one in self.alerts if ours(one)])


def again(told: Iterable[Publish]) -> Heard:
    """What a replay told."""
    heard = Heard()
    for message in told:
        heard.take(message.topic, message.value or b"")
    return heard


def live(cluster: Cluster, retold: Sequence[Retold]) -> Heard:
    """What was told live since the messages that the replays began with."""
    heard = Heard()
    for topic in ("reports", "alerts"):
        bounds = ranges.bounds(cluster, topic)
        for one in retold:
            start = ranges.at_time(cluster, topic, one.since - _CLOCKS_MS_MAX)[one.partition]
            for block in ranges.read(cluster, topic, one.partition, start, bounds[one.partition][1]):
                for value in block.values:
                    heard.take(topic, value or b"")
    return heard


def closed(heard: Heard) -> dict[str, _Span]:
    """First and last window that closed, by model; a restated one closed before."""
    spans: dict[str, _Span] = {}
    for report, _ in heard.reports:
        if report.revision == 0:
            first, last = spans.get(report.model, (report.window_start, report.window_start))
            spans[report.model] = (min(first, report.window_start), max(last, report.window_start))
    return spans


def compare_reports(served: Heard, replayed: Heard, strictly: bool) -> Windows:
    """Compare windows: every revision byte for byte, or the last word on which columns have drifted."""
    closed_now = {_window(report) for report, _ in replayed.reports if report.revision == 0}
    closed_then = {_window(report) for report, _ in served.reports if report.revision == 0}
    said = {_window(r): _drifted(r) for r, _ in replayed.reports if _window(r) in closed_now}
    was = {_window(r): _drifted(r) for r, _ in served.reports if _window(r) in closed_then}
    agreed = sum(was.get(name) == verdict for name, verdict in said.items())
    if strictly:
        said = {_name(report): value for report, value in replayed.reports}
        was = {_name(r): value for r, value in served.reports if _name(r) in said or r.revision == 0}
    other = [name for name in sorted(said.keys() | was.keys()) if said.get(name) != was.get(name)]
    equal = len(said.keys() | was.keys()) - len(other)
    return Windows(served=len(was), replayed=len(said), equal=equal, agreed=agreed, different=other[:NAMED])


def _name(report: Report) -> str:
    return f"{_window(report)} {report.version} revision {report.revision}"


def _window(report: Report) -> str:
    return f"{report.window_start} {report.model} {report.segment}".rstrip()


def _drifted(report: Report) -> bytes:
    return msgspec.json.encode(sorted(column.name for column in report.columns if column.drifted))


def incidents(alerts: Iterable[Alert]) -> list[Incident]:
    """Incidents as their alerts tell them, in the order in which they opened."""
    found: dict[str, Incident] = {}
    for alert in alerts:
        known = found.get(alert.incident)
        columns = [column.name for column in alert.columns]
        found[alert.incident] = Incident(
            id=alert.incident,
            version=alert.version,
            kind=alert.kind,
            severity=alert.severity,
            columns=list(dict.fromkeys([*(known.columns if known else ()), *columns])),
            opened=known.opened if known else alert.ts,
            change_point=known.change_point if known else alert.change_point,
            paged=known.paged if known and known.paged is not None else alert.ts if alert.page else None,
            closed=alert.ts if alert.event == "close" else None,
            # A close says that it is over, and an act who decided what: the text is what had happened.
            text=alert.text if known is None or not (alert.act or alert.event == "close") else known.text,
        )
    return sorted(found.values(), key=lambda one: one.opened)


def side_by_side(served: Sequence[Incident], replayed: Sequence[Incident]) -> list[Pair]:
    """Pair incidents: equal ones, then those that have a column in common, in order; the others stand alone.

    >>> def told(name, *columns):
    ...     return Incident(id=name, version="v1", kind="feature", severity="watch", columns=list(columns),
    ...         opened=0, change_point=0, paged=None, closed=None, text="")
    >>> pairs = side_by_side([told("m-1", "age"), told("m-2", "city")], [told("m-1", "city", "zip")])
    >>> [(p.served and p.served.id, p.replayed and p.replayed.id) for p in pairs]
    [('m-1', None), ('m-2', 'm-1')]
    """
    left = list(replayed)
    pairs = []
    for one in served:
        twin = next((other for other in left if same(Pair(one, other))), None)
        twin = twin or next((other for other in left if set(one.columns) & set(other.columns)), None)
        if twin is not None:
            left.remove(twin)
        pairs.append(Pair(one, twin))
    return pairs + [Pair(None, other) for other in left]
