"""Dashboards and rules into a running Grafana, through its HTTP API; the same call again changes nothing more.

What is pushed stays editable in Grafana (``X-Disable-Provenance``). The user's notification policies are left alone.
"""

from typing import Any
from urllib.parse import urlsplit

import msgspec
from grafana_api.grafana_api import GrafanaClientError, GrafanaException
from grafana_api.grafana_face import GrafanaFace
from requests import RequestException

from dashboards.grafana import alerts
from dashboards.grafana.classic import DATASOURCE, dashboards
from dashboards.grafana.drawings import DATASOURCE_TYPE
from dashboards.grafana.source import Source
from dashboards.grafana.source import datasource as source_of

_EDITABLE = {"X-Disable-Provenance": "true"}
_NOT_FOUND = 404


class PushError(RuntimeError):
    """Grafana refused, or did not answer; the text says what was asked and what to do."""


class Pushed(msgspec.Struct, frozen=True):
    """What was sent."""

    folder: str
    dashboards: list[str]
    rules: list[str]
    datasource: str = DATASOURCE
    datasource_made: str = ""

    def lines(self, url: str) -> list[str]:
        """What to tell people."""
        made = {"made": ", made", "updated": ", brought up to date"}.get(self.datasource_made, "")
        return [
            f"{len(self.dashboards)} dashboards and {len(self.rules)} alert rules are in {url}, folder {alerts.FOLDER}",
            f"they ask the data source {self.datasource}{made}",
            f"begin at {url.rstrip('/')}/d/{self.dashboards[0]}",
        ]


def push(
    url: str,
    token: str,
    *,
    datasource: str = DATASOURCE,
    source: Source | None = None,
    password: str = "",
    look: bool = False,
    timeout_s: float = 10.0,
) -> Pushed:
    """Send the folder, the dashboards and the rules.

    Parameters
    ----------
    url
        Of Grafana, with its path where it has one: ``https://host/grafana``.
    token
        Of a service account that may edit folders, dashboards and alert rules.
    datasource
        Uid of the ClickHouse data source that they ask.
    source, password
        Make that data source, or bring it up to this, first.
    look
        Refuse, before anything is sent, where Grafana has no such data source.

    Raises
    ------
    PushError
        Not reachable, not allowed, no data source, or an answer that is no success.
    """
    api = _api(url, token, timeout_s)
    made = ""
    try:
        if source is not None:
            made = _put_source(api, source_of(source, password, datasource))
        elif look:
            _find_source(api, datasource)
        _folder(api)
        sent = [_dashboard(api, board) for board in dashboards(datasource).values()]
        rules = [_rule(api, rule) for rule in alerts.for_api(datasource)]
    except GrafanaException as error:
        role = "Admin: only that may make a data source" if source is not None and not made else "Editor"
        hint = f"give the token the role {role}" if error.status_code in (401, 403) else "see Grafana's log"
        raise PushError(f"Grafana at {url} answered {error.status_code}: {error.message}; {hint}") from error
    except RequestException as error:
        raise PushError(f"Grafana at {url} does not answer: {error}; is the address right?") from error
    return Pushed(alerts.FOLDER_UID, sent, rules, datasource, made)


def _api(url: str, token: str, timeout_s: float) -> Any:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PushError(f"{url!r} is no address of Grafana; write it as https://host:3000")
    path = parts.path.strip("/")
    face = GrafanaFace(
        token,
        host=parts.hostname,
        port=parts.port,
        url_path_prefix=f"{path}/" if path else "",
        protocol=parts.scheme,
        timeout=timeout_s,
    )
    return face.api


def _find_source(api: Any, uid: str) -> None:
    try:
        source = api.GET(f"/datasources/uid/{uid}")
    except GrafanaClientError as error:
        if error.status_code != _NOT_FOUND:
            raise
        raise PushError(
            f"Grafana has no data source with the uid {uid}, which the panels would ask; name yours with "
            "--datasource UID, or have it made: --datasource-url clickhouse://user@host:9000/driftline"
        ) from None
    kind = source.get("type", DATASOURCE_TYPE) if isinstance(source, dict) else DATASOURCE_TYPE
    if kind != DATASOURCE_TYPE:
        raise PushError(f"the data source {uid} is of the kind {kind}; the panels ask ClickHouse, {DATASOURCE_TYPE}")


def _put_source(api: Any, wanted: dict[str, Any]) -> str:
    editable = wanted | {"editable": True}
    if _exists(api, f"/datasources/uid/{wanted['uid']}"):
        api.PUT(f"/datasources/uid/{wanted['uid']}", json=editable)
        return "updated"
    api.POST("/datasources", json=editable)
    return "made"


def _folder(api: Any) -> None:
    if not _exists(api, f"/folders/{alerts.FOLDER_UID}"):
        api.POST("/folders", json={"uid": alerts.FOLDER_UID, "title": alerts.FOLDER})


def _dashboard(api: Any, board: dict[str, Any]) -> str:
    body = {
        "dashboard": board,
        "folderUid": alerts.FOLDER_UID,
        "overwrite": True,
        "message": "driftline dashboards push",
    }
    api.POST("/dashboards/db", json=body)
    return str(board["uid"])


def _rule(api: Any, rule: dict[str, Any]) -> str:
    path = f"/v1/provisioning/alert-rules/{rule['uid']}"
    if _exists(api, path):
        api.PUT(path, json=rule, headers=_EDITABLE)
    else:
        api.POST("/v1/provisioning/alert-rules", json=rule, headers=_EDITABLE)
    return str(rule["uid"])


def _exists(api: Any, path: str) -> bool:
    try:
        api.GET(path)
    except GrafanaClientError as error:
        if error.status_code == _NOT_FOUND:
            return False
        raise
    return True
