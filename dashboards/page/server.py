"""The page behind waitress."""

from collections.abc import Callable, Sequence
from typing import Any

import waitress

from dashboards.page import connections
from dashboards.page.app import make_app
from dashboards.page.query_cache import Query, Status

#: Readers that are answered at once; more wait.
THREADS = 16


def make_server(
    query: Query,
    status: Status,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    clock: Callable[[], int] | None = None,
    root_path: str = "",
    hosts: Sequence[str] = (),
    store_away: Callable[[], str] = str,
) -> Any:
    """Make a server that listens already: ``effective_port``, ``run()`` (blocks), ``close()``.

    Parameters
    ----------
    query, status, host, clock, root_path, hosts, store_away
        As of `make_app`.
    port
        0 takes a free one.
    """
    app = make_app(query, status, host=host, clock=clock, root_path=root_path, hosts=hosts, store_away=store_away)
    server = waitress.create_server(
        app, host=host, port=port, threads=THREADS, ident="driftline", **connections.options()
    )
    connections.guard(server)
    return server


def serve(
    query: Query,
    status: Status,
    host: str = "127.0.0.1",
    port: int = 18080,
    *,
    root_path: str = "",
    hosts: Sequence[str] = (),
    store_away: Callable[[], str] = str,
) -> None:
    """Serve the page until the process is told to stop.

    Parameters
    ----------
    query, status, host, root_path, hosts, store_away
        As of `make_app`.
    port
        Where it listens.
    """
    server = make_server(query, status, host, port, root_path=root_path, hosts=hosts, store_away=store_away)
    try:
        server.run()
    finally:
        server.close()
