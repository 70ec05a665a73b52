"""The Dash application: one callback draws whatever the address asks for, again at every tick.

Everything comes from this host: Dash serves its own scripts, the stylesheet lies in ``assets``, and a
Content-Security-Policy holds the browser to it. Nothing can be changed through the page.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dash
import flask
from dash import Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboards import words
from dashboards.page import probes
from dashboards.page.address import Address, problem
from dashboards.page.json_view import json_view
from dashboards.page.page_data import PageData, gather
from dashboards.page.query_cache import Busy, Query, QueryCache, Status
from dashboards.page.view import render, title

#: How often an open page asks again.
TICK_MS = 4_000

_ZONE_JS = "function () { return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'; }"
_TITLE_JS = "function (title) { document.title = title || 'Driftline'; return window.dash_clientside.no_update; }"
_CLICK_JS = """function (click) {
    if (!click || !location.pathname.startsWith('ROOT/m/')) { return window.dash_clientside.no_update; }
    return location.pathname.replace(/\\/$/, '') + '/c/' + encodeURIComponent(click.points[0].y) + location.search;
}"""


def make_app(
    query: Query,
    status: Status,
    *,
    host: str = "127.0.0.1",
    clock: Callable[[], int] | None = None,
    root_path: str = "",
    hosts: Sequence[str] = (),
    store_away: Callable[[], str] = str,
) -> flask.Flask:
    """Make the page as a WSGI application.

    Parameters
    ----------
    query
        Runs SQL with server-bound parameters (``{name:Type}``) and returns a pandas frame; read-only is enough.
    status
        The roles' live state: see `dashboards.page.live`.
    host
        Where it will listen; on loopback, requests that name another host are refused (DNS rebinding).
    clock
        Milliseconds UTC, for tests.
    root_path
        Where a proxy serves the page, ``/driftline`` say, whether it takes that off a request's path or not. It alone
        says so: no header of a request is believed.
    hosts
        Names that browsers know the page by, behind a proxy; requests for others are refused.
    store_away
        As of `QueryCache`.
    """
    cache = QueryCache(query, status, clock, store_away)
    server = flask.Flask("dashboards.page", static_folder=None)
    server.wsgi_app = _below(root_path, server.wsgi_app)  # type: ignore[method-assign]
    probes.add(server, cache, host, hosts)
    _twins(server, cache, root_path)
    app = dash.Dash(
        "dashboards.page",
        server=server,
        assets_folder=str(Path(str(resources.files("dashboards.page"))) / "assets"),
        serve_locally=True,
        suppress_callback_exceptions=True,
        update_title=None,
        title="Driftline",
        add_log_handler=False,
        enable_mcp=False,
        index_string=_INDEX.replace("{root}", root_path),
        requests_pathname_prefix=f"{root_path}/",
        routes_pathname_prefix="/",
    )
    app.layout = _layout(root_path)
    app.clientside_callback(_ZONE_JS, Output("zone", "data"), Input("shell", "id"))
    app.clientside_callback(_TITLE_JS, Output("title", "id"), Input("title", "data"))
    click = _CLICK_JS.replace("ROOT", root_path)
    app.clientside_callback(
        click,
        Output("url", "href"),
        Input("chart-drift_map", "clickData"),
        prevent_initial_call=True,
    )
    app.callback(
        Output("view", "children"),
        Output("live", "children"),
        Output("live", "className"),
        Output("title", "data"),
        Output("seen", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("tick", "n_intervals"),
        Input("zone", "data"),
        State("seen", "data"),
    )(
        lambda path, search, _, zone, seen: _show(
            cache, path and Address.read(path, search or "", root_path), zone, seen
        )
    )
    return server


def _below(root_path: str, app: Any) -> Any:
    """Take the root off a request's path where the proxy has left it on."""

    def inner(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ.get("PATH_INFO", "")
        if path == root_path or path.startswith(f"{root_path}/"):
            environ = {**environ, "PATH_INFO": path.removeprefix(root_path) or "/"}
        return app(environ, start_response)

    return inner if root_path else app


def _show(cache: QueryCache, address: Address | None, zone_name: str | None, seen: str | None) -> tuple[Any, ...]:
    if address is None or zone_name is None:
        raise PreventUpdate
    zone = words.zone(zone_name)
    try:
        data = gather(cache, address)
    except Busy:
        raise PreventUpdate from None  # the next tick asks again
    clock = f"{words.at(data.now_ms, zone):%H:%M:%S}"
    state = [html.Span(className="dot"), html.Span(f"{'stale' if data.trouble else 'live'} {clock}")]
    look = "live live--stale" if data.trouble else "live"
    digest = _digest(data, zone_name)
    if digest == seen:
        # The same facts: the picture stays, and whatever the reader points at stays under the pointer.
        return no_update, state, look, no_update, no_update
    view, verdict = render(data, zone)
    return view, state, look, title(data, verdict), digest


def _digest(data: PageData, zone: str) -> str:
    answers = {name: (data.rows(name), answer.trouble) for name, answer in data.answers.items()}
    facts = json.dumps([data.address.href, zone, answers, data.live, data.away], default=str)
    return hashlib.blake2b(facts.encode(), digest_size=12).hexdigest()


def _twins(server: flask.Flask, cache: QueryCache, root_path: str) -> None:
    """JSON of every page, under ``/api``."""

    def answer(rest: str = "") -> flask.Response:
        # Flask hands the path over decoded; an address is read encoded.
        path, search = "/" + quote(rest), flask.request.query_string.decode(errors="replace")
        if why := problem(path, search):
            return _json({"error": why}, 400)
        try:
            data = gather(cache, Address.read(path, search, root_path))
        except Busy as error:
            return _json({"error": str(error)}, 429)
        return _json(json_view(data), 200 if data.address.page != "nowhere" else 404)

    server.add_url_rule("/api", "api", answer)
    server.add_url_rule("/api/<path:rest>", "api_of", answer)


def _json(value: Any, code: int) -> flask.Response:
    body = json.dumps(value, allow_nan=False, default=str)
    return flask.Response(body + "\n", code, mimetype="application/json")


def _layout(root_path: str) -> html.Div:
    return html.Div(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Interval(id="tick", interval=TICK_MS),
            dcc.Store(id="zone"),
            dcc.Store(id="seen"),
            dcc.Store(id="title"),
            html.A("Skip to the content", href="#view", className="skip"),
            html.Div(
                [
                    dcc.Link([html.Span(className="mark"), "driftline"], href=f"{root_path}/", className="brand"),
                    html.Nav(
                        [dcc.Link("Fleet", href=f"{root_path}/"), dcc.Link("Pipeline", href=f"{root_path}/pipeline")],
                        **{"aria-label": "Pages"},
                    ),
                    html.Div(id="live", className="live", role="status"),
                ],
                className="top",
                role="banner",
            ),
            html.Main(html.P("Asking the store …", className="first"), id="view", tabIndex="-1"),
        ],
        id="shell",
    )


_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 11h5l4-7h5' "
    "fill='none' stroke='%23E69F00' stroke-width='2.5' stroke-linejoin='round' stroke-linecap='round'/%3E%3C/svg%3E"
)
_INDEX = f"""<!DOCTYPE html>
<html lang="en">
  <head>
    {{%metas%}}
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{{%title%}}</title>
    <link rel="icon" href="{_ICON}">
    {{%css%}}
  </head>
  <body>
    <noscript>
      The page draws with JavaScript; the same facts are JSON under <a href="{{root}}/api">{{root}}/api</a>.
    </noscript>
    {{%app_entry%}}
    <footer>{{%config%}}{{%scripts%}}{{%renderer%}}</footer>
  </body>
</html>
"""
