"""Severity: how far an alert is told, by how grave it is and what was asked for.

A rule says how far its news should go at most: ``list`` what is immaterial, ``chat`` what is news but wakes nobody (an
end, an improvement, a column that moves on), ``page`` what a person should look at now. `heeded` holds it against the
model's settings, in one place for all rules.
"""

import msgspec

from streams.wire.records import SEVERITIES, Alert, Severity, Watch


def worse(severity: Severity, than: Severity) -> bool:
    """Whether a severity is graver than another.

    >>> worse("critical", "warning"), worse("watch", "watch")
    (True, False)
    """
    return SEVERITIES.index(severity) > SEVERITIES.index(than)


def heeded(alert: Alert, watch: Watch) -> Alert:
    """An alert as it leaves: what is milder than `Watch.page_from` is sent to chats and pages nobody."""
    if alert.reach != "page":
        return alert
    page = not worse(watch.page_from, alert.severity)
    return msgspec.structs.replace(alert, page=page, reach="page" if page else "chat")
