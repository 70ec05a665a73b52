"""The time of one event, as a message writes it."""

import datetime as dt

from streams.wire.time_limits import END_MS, FIRST_MS


def event_time_ms(value: float | str) -> int | None:
    """Read a time: integer milliseconds or RFC 3339 text (naive means UTC), before 2100; None if it is neither.

    >>> event_time_ms("1970-01-02T00:00:00Z"), event_time_ms(1_700_000_000_000), event_time_ms(1_700_000_000)
    (86400000, 1700000000000, None)
    """
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        ms = int(moment.timestamp() * 1000)
        return ms if 0 <= ms < END_MS else None
    if not FIRST_MS <= value < END_MS or value != int(value):
        return None
    return int(value)
