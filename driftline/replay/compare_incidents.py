"""Incidents as alerts tell them, served beside replayed."""

from collections.abc import Iterable, Sequence

from driftline.replay.result import Incident, Pair, same
from streams.wire.records import Alert


def incidents(alerts: Iterable[Alert]) -> list[Incident]:
    """Incidents as their alerts tell them, in the order in which they opened."""
    by_id: dict[str, Incident] = {}
    for alert in alerts:
        known = by_id.get(alert.incident)
        columns = [column.name for column in alert.columns]
        by_id[alert.incident] = Incident(
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
    return sorted(by_id.values(), key=lambda incident: incident.opened)


def side_by_side(served: Sequence[Incident], replayed: Sequence[Incident]) -> list[Pair]:
    """Pair incidents: equal ones, then those that have a column in common, in order; the others stand alone.

    >>> def incident(name, *columns):
    ...     return Incident(id=name, version="v1", kind="feature", severity="watch", columns=list(columns),
    ...         opened=0, change_point=0, paged=None, closed=None, text="")
    >>> pairs = side_by_side([incident("m-1", "age"), incident("m-2", "city")], [incident("m-1", "city", "zip")])
    >>> [(p.served and p.served.id, p.replayed and p.replayed.id) for p in pairs]
    [('m-1', None), ('m-2', 'm-1')]
    """
    left = list(replayed)
    pairs = []
    for incident in served:
        counterpart = next((other for other in left if same(Pair(incident, other))), None)
        counterpart = counterpart or next((o for o in left if set(incident.columns) & set(o.columns)), None)
        if counterpart is not None:
            left.remove(counterpart)
        pairs.append(Pair(incident, counterpart))
    return pairs + [Pair(None, other) for other in left]
