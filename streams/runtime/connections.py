"""Connections to a role: bounded in number and in time.

aiohttp waits for the rest of a request for ever, and keeps any number of connections. A role's answers are short and
ready at once, so a connection that brings no new request for a while is half a request, or is not used.
"""

import asyncio
from collections.abc import Callable
from typing import Any

#: Connections at the most; those that have brought nothing for the longest are closed.
CONNECTIONS_MAX = 256
#: A connection has to bring a whole request within so long, the first and each that follows.
QUIET_S_MAX = 10.0
_LOOK_S = 0.5


class Bounds:
    """Decides which connections are closed; ``quiet_s_max`` is how long one may bring nothing."""

    def __init__(self, quiet_s_max: float = QUIET_S_MAX) -> None:
        self._quiet_s_max = quiet_s_max
        self._seen: dict[Any, tuple[int, float]] = {}

    def over(self, connections: dict[Any, int], now_s: float) -> list[Any]:
        """Which connections go.

        Parameters
        ----------
        connections
            How many requests each has brought.
        now_s
            Seconds, of a clock that only goes on.

        >>> bounds = Bounds()
        >>> bounds.over({"half": 0, "asks": 1}, 0.0), bounds.over({"half": 0, "asks": 2}, 10.5)
        ([], ['half'])
        """
        before, self._seen = self._seen, {}
        for connection, requests in connections.items():
            known = before.get(connection)
            self._seen[connection] = known if known and known[0] == requests else (requests, now_s)
        oldest_first = sorted(self._seen, key=lambda connection: self._seen[connection][1])
        crowd = len(oldest_first) - CONNECTIONS_MAX
        return [c for n, c in enumerate(oldest_first) if n < crowd or now_s - self._seen[c][1] > self._quiet_s_max]


async def bound(server: Callable[[], Any], quiet_s_max: float = QUIET_S_MAX) -> None:
    """Close what is over its bounds, for ever; ``server`` is aiohttp's, or None while there is none."""
    bounds, clock = Bounds(quiet_s_max), asyncio.get_running_loop().time
    while True:
        serving = server()
        handlers = serving.connections if serving else []
        for handler in bounds.over({handler: handler._request_count for handler in handlers}, clock()):
            handler.force_close()
            if handler.transport is not None:
                handler.transport.abort()
        await asyncio.sleep(_LOOK_S)
