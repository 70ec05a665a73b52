"""What a role answers over HTTP before its Faust app does: that it lives, and what it waits for.

A role waits for its broker, its topics and its store before there is an app. Until then nobody would answer at its
port, and whoever looks could not tell a role that waits from one that is not there.
"""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any

from streams.logs import logger

#: An answer: status, content type, body.
Answer = tuple[int, str, bytes]
_REQUEST_S_MAX = 5.0
_CONNECTIONS_MAX = 64


class Starting:
    """Answers GET requests at some paths until it is stopped.

    Parameters
    ----------
    host, port
        Where.
    pages
        What is answered, by path.
    """

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], Answer]]) -> None:
        self._where, self._pages = (host, port), pages
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Begin to answer. A port that is taken is left to the app, which refuses it in words."""
        try:
            self._server = _server(self._where, self._pages)
        except OSError as error:
            logger("streams.runtime.starting").info("starting.no_port", where=self._where, why=str(error))
            return
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="starting", daemon=True).start()

    def stop(self) -> None:
        """Answer no more, and free the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _server(where: tuple[str, int], pages: Mapping[str, Callable[[], Answer]]) -> ThreadingHTTPServer:
    places = threading.BoundedSemaphore(_CONNECTIONS_MAX)

    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_S_MAX

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            code, kind, body = page() if page else (404, "text/plain", b"not found\n")
            self.send_response(code)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: probes come every second."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        address_family = AF_INET6 if ":" in where[0] else ThreadingHTTPServer.address_family

        def process_request(self, request: Any, client_address: Any) -> None:
            """Answer in a thread; a connection beyond the bound is closed."""
            if places.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                places.release()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: a client that goes away is no fault of ours."""

    return Server(where, Handler)
