"""Connections to the page: bounded in number, in time and in what one of them may ask for at once.

waitress reads requests without a thread, so half a request costs a socket alone; but it accepts nobody any more at
its limit of connections, and waits long for those that say nothing. Here the connection that has made nobody wait for
the longest goes first, and every one has deadlines.
"""

import resource
import socket
import time
from contextlib import suppress
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import Error

#: Connections at the most; fewer where the process may open fewer files.
CONNECTIONS_MAX = 512
#: A request must have come whole after so long, and an answer must go on being read within so long.
REQUEST_S_MAX = 10.0
STALLED_S_MAX = 20.0
#: A connection without a request is kept for so long.
IDLE_S_MAX = 60.0
#: Requests that wait for a thread; more are told to come again.
WAITING_MAX = 64
HEADER_BYTES_MAX = 16_384
BODY_BYTES_MAX = 262_144
_LOOK_S = 1

#: What every answer carries, also those that no page has seen.
HEADERS = {
    # Dash starts from an inline script and styles elements inline; everything else is a file of this host.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: Facts about somebody's models are kept by no cache on the way.
PRIVATE = {"Cache-Control": "no-store"}


class _Request(HTTPRequestParser):  # type: ignore[misc]
    """One request. What follows it before it is answered is not read: neither browsers nor proxies send it, and bytes
    that two servers part differently into requests are how requests are smuggled."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request; one that says its length in two ways, or in one of its own, is none."""
        names = [line.partition(b":")[0].strip().lower() for line in header_plus.split(b"\n")]
        if b"content-length" in names and b"transfer-encoding" in names:
            raise ParsingError("Content-Length and Transfer-Encoding are both given")
        try:
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented as error:
            raise ParsingError(*error.args) from None

    def received(self, data: bytes) -> int:
        taken: int = super().received(data)
        if self.completed and not self.empty and taken < len(data):
            self.headers["CONNECTION"] = "close"
            return len(data)
        return taken


class _Busy(Error):  # type: ignore[misc]
    code = 429
    reason = "Too Many Requests"


class _Refusal(ErrorTask):  # type: ignore[misc]
    """The answer to what is no request."""

    def execute(self) -> None:
        self.response_headers.extend((HEADERS | PRIVATE).items())
        super().execute()


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection with deadlines."""

    parser_class = _Request
    error_task_class = _Refusal
    #: Since when its request is awaited, seconds since 1970; 0 while one is answered.
    awaited_s = 0.0
    began = False

    def received(self, data: bytes) -> bool:
        """Take bytes of a request; the first of them begins its deadline."""
        if self.request is None:
            self.awaited_s, self.began = time.time(), True
        busy = len(self.server.task_dispatcher.queue) >= WAITING_MAX
        taken: bool = super().received(data)
        if self.request is None:
            self.began = False
            for request in self.requests if busy else ():
                request.error = request.error or _Busy(f"{WAITING_MAX} requests wait already; ask again in a second")
        return taken

    def overdue(self, now_s: float) -> bool:
        """Whether it has waited for its client for too long."""
        if self.total_outbufs_len:
            return bool(now_s - self.last_activity > STALLED_S_MAX)
        if self.requests:
            return False
        if self.began:
            return now_s - self.awaited_s > REQUEST_S_MAX
        return bool(now_s - self.last_activity > IDLE_S_MAX)

    def quiet_since_s(self) -> float:
        """Since when it has made nobody wait: what sorts those that may be closed for a newcomer."""
        return self.awaited_s if self.began else float(self.last_activity)

    def end(self) -> None:
        """Have waitress close it when the loop reaches its own event.

        If it were closed here, a connection accepted in the same turn of the loop could get its file number, and an
        event still waiting for that number would close the new connection.
        """
        self.will_close = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the loop, even where the client reads nothing

    @property
    def can_go(self) -> bool:
        """Whether no answer is lost with it."""
        return not self.requests and not self.total_outbufs_len


def options() -> dict[str, Any]:
    """Options of waitress for what `guard` bounds further."""
    return {
        "asyncore_use_poll": True,
        "channel_timeout": int(IDLE_S_MAX),
        "cleanup_interval": _LOOK_S,
        # Ours is reached first; at this one, waitress would accept nobody.
        "connection_limit": connections_max() + 64,
        "expose_tracebacks": False,
        "max_request_body_size": BODY_BYTES_MAX,
        "max_request_header_size": HEADER_BYTES_MAX,
    }


def connections_max() -> int:
    """Connections that are kept at the most: a quarter of the files that the process may open, or `CONNECTIONS_MAX`."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if files == resource.RLIM_INFINITY else max(16, min(CONNECTIONS_MAX, files // 4))


def guard(server: Any, most: int | None = None) -> None:
    """Give a waitress server these connections, their deadlines, and room for newcomers.

    Parameters
    ----------
    server
        Made by ``waitress.create_server(..., **options())``; it has not run yet.
    most
        Connections that are kept at the most.
    """
    limit = most or connections_max()
    # A name of several addresses has a listener each.
    listeners = [server] if isinstance(server, BaseWSGIServer) else list(server.map.values())
    for listener in listeners:
        if isinstance(listener, BaseWSGIServer):
            _guard(listener, limit)


def _guard(server: Any, limit: int) -> None:
    accept, cleanup = server.handle_accept, server.maintenance

    def handle_accept() -> None:
        _make_room(server, limit)
        accept()

    def maintenance(now_s: float) -> None:
        cleanup(now_s)
        for connection in list(server.active_channels.values()):
            if connection.overdue(now_s):
                connection.end()

    server.channel_class = Connection
    server.handle_accept = handle_accept
    server.maintenance = maintenance


def _make_room(server: Any, most: int) -> None:
    """End those that have made nobody wait for the longest, until a newcomer fits."""
    if len(server.active_channels) < most:
        return
    staying = [connection for connection in server.active_channels.values() if not connection.will_close]
    free = sorted((c for c in staying if c.can_go), key=Connection.quiet_since_s)
    for connection in free[: max(0, len(staying) + 1 - most)]:
        connection.end()
