"""Retraining orders: a paged incident asks for a new version, once in a while."""

from streams.wire.records import Alert, Order

#: Event time between two orders of a model.
COOL_DOWN_MS = 86_400_000
#: Kinds of incident that a new version may help with; bad data is mended at its source.
KINDS = ("feature", "prediction", "performance")


def order(alert: Alert, last_ms: int | None) -> Order | None:
    """The order that follows an alert, if one does.

    Parameters
    ----------
    alert
        What has just been told.
    last_ms
        Event time of the model's latest order.
    """
    if not alert.page or alert.kind not in KINDS:
        return None
    if last_ms is not None and alert.ts - last_ms < COOL_DOWN_MS:
        return None
    return Order(
        id=f"{alert.id}/order",
        model=alert.model,
        version=alert.version,
        incident=alert.incident,
        ts=alert.ts,
        columns=[column.name for column in alert.columns],
        since=alert.change_point,
        until=alert.window_end,
        reason=alert.text,
    )
