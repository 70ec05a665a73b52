"""Whether the page lives and is ready, its metrics, and what every answer is fenced with."""

import logging
import re
from collections.abc import Sequence

import flask
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import HTTPException

from dashboards.page.connections import HEADERS, PRIVATE
from dashboards.page.query_cache import QueryCache

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_UPDATE = "/_dash-update-component"
#: Files of the page itself: the same for everybody.
_FILES = ("/_dash-component-suites/", "/assets/")
_PORT = re.compile(r":\d*$")
_log = logging.getLogger(__name__)


def add(server: flask.Flask, queries: QueryCache, host: str, hosts: Sequence[str] = ()) -> None:
    """Add ``/livez``, ``/readyz``, ``/startupz``, ``/metrics``, and the fence.

    Parameters
    ----------
    server
        What they are added to.
    queries
        Asks the store.
    host
        Where the page listens: on loopback it answers for names of loopback alone.
    hosts
        More names that it answers for; with them, for no other.
    """
    names = {name.lower() for name in hosts} | (set(_LOOPBACK) if host in _LOOPBACK or hosts else set())

    def livez() -> flask.Response:
        return _text("ok")

    def readyz() -> flask.Response:
        why = queries.probe()
        return _text(f"the store does not answer: {why}" if why else "ok", 503 if why else 200)

    def metrics() -> flask.Response:
        return flask.Response(generate_latest(queries.registry), mimetype=CONTENT_TYPE_LATEST)

    def fence() -> flask.Response | None:
        name = _PORT.sub("", flask.request.headers.get("Host", "")).strip("[]").lower()
        if names and name not in names:
            return _text(f"this page answers no request for the host {name[:100]!r}; page.hosts names others", 403)
        if flask.request.method not in ("GET", "HEAD") and flask.request.path != _UPDATE:
            return _text(f"the page is read-only; {flask.request.method} is not for it", 405)
        return None

    def fenced(response: flask.Response) -> flask.Response:
        response.headers.update(HEADERS)
        if not flask.request.path.startswith(_FILES):
            response.headers.update(PRIVATE)
        return response

    def odd(error: Exception) -> flask.Response | HTTPException:
        if isinstance(error, HTTPException):
            return error
        if not flask.request.path.startswith("/_dash-"):
            raise error
        # Dash answers what its own page never sends with an exception of any kind.
        _log.info("a request of %s was not understood: %r", flask.request.path, error)
        return _text("this is no request of the page", 400)

    server.register_error_handler(Exception, odd)

    for path, answer in {"livez": livez, "readyz": readyz, "startupz": readyz, "metrics": metrics}.items():
        server.add_url_rule(f"/{path}", path, answer)
    server.before_request(fence)
    server.after_request(fenced)


def _text(text: str, code: int = 200) -> flask.Response:
    return flask.Response(text + "\n", code, mimetype="text/plain")
