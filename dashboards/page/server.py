"""The page behind waitress."""

from collections.abc import Callable
from typing import Any

import waitress

from dashboards.page.app import make_app
from dashboards.page.desk import Query, Status

#: Readers that are answered at once; more wait.
THREADS = 8


def make_server(
    query: Query, status: Status, host: str = "127.0.0.1", port: int = 0, *, clock: Callable[[], int] | None = None
) -> Any:
    """Make a server that listens already: ``effective_port``, ``run()`` (blocks), ``close()``."""
    app = make_app(query, status, host=host, clock=clock)
    return waitress.create_server(app, host=host, port=port, threads=THREADS, ident="driftline")


def serve(query: Query, status: Status, host: str = "127.0.0.1", port: int = 18080) -> None:
    """Serve the page until the process is told to stop."""
    server = make_server(query, status, host, port)
    try:
        server.run()
    finally:
        server.close()
