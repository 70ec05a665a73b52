"""Whether the page lives and is ready, its metrics, and what every answer is fenced with."""

import flask
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dashboards.page.desk import Desk

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_UPDATE = "/_dash-update-component"
_HEADERS = {
    # Dash starts from an inline script and styles elements inline; everything else is a file of this host.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add(server: flask.Flask, desk: Desk, host: str) -> None:
    """Add ``/livez``, ``/readyz``, ``/startupz``, ``/metrics``, and the fence."""

    def livez() -> flask.Response:
        return _text("ok")

    def readyz() -> flask.Response:
        why = desk.probe()
        return _text(f"the store does not answer: {why}" if why else "ok", 503 if why else 200)

    def metrics() -> flask.Response:
        return flask.Response(generate_latest(desk.registry), mimetype=CONTENT_TYPE_LATEST)

    def fence() -> flask.Response | None:
        name = flask.request.host.rsplit(":", 1)[0].strip("[]")
        if host in _LOOPBACK and name not in _LOOPBACK:
            return _text(f"this page listens on {host} and answers no request for {name}", 403)
        if flask.request.method not in ("GET", "HEAD") and flask.request.path != _UPDATE:
            return _text(f"the page is read-only; {flask.request.method} is not for it", 405)
        return None

    def fenced(response: flask.Response) -> flask.Response:
        response.headers.update(_HEADERS)
        return response

    for path, answer in {"livez": livez, "readyz": readyz, "startupz": readyz, "metrics": metrics}.items():
        server.add_url_rule(f"/{path}", path, answer)
    server.before_request(fence)
    server.after_request(fenced)


def _text(text: str, code: int = 200) -> flask.Response:
    return flask.Response(text + "\n", code, mimetype="text/plain")
