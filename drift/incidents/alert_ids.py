"""Ids of alerts: an incident's name, and the number of the alert in its life."""

from streams.wire.records import Alert


def next_id(last: Alert) -> str:
    """Id of the alert after the last one of an incident."""
    incident, _, number = last.id.rpartition("/")
    return f"{incident}/{int(number) + 1}"
