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

_EDITABLE = {"X-Disable-Provenance": "true"}
_NOT_FOUND = 404


class PushError(RuntimeError):
    """Grafana refused, or did not answer; the text says what was asked and what to do."""


class Pushed(msgspec.Struct, frozen=True):
    """What was sent."""

    folder: str
    dashboards: list[str]
    rules: list[str]


def push(url: str, token: str, *, datasource: str = DATASOURCE, timeout_s: float = 10.0) -> Pushed:
    """Send the folder, the dashboards and the rules.

    Parameters
    ----------
    url
        Of Grafana, with its path where it has one: ``https://host/grafana``.
    token
        Of a service account that may edit folders, dashboards and alert rules.
    datasource
        Uid of the ClickHouse data source that they ask.

    Raises
    ------
    PushError
        Not reachable, not allowed, or an answer that is no success.
    """
    api = _api(url, token, timeout_s)
    try:
        _folder(api)
        sent = [_dashboard(api, board) for board in dashboards(datasource).values()]
        rules = [_rule(api, rule) for rule in alerts.for_api(datasource)]
    except GrafanaException as error:
        hint = "give the token the role Editor" if error.status_code in (401, 403) else "see Grafana's log"
        raise PushError(f"Grafana at {url} answered {error.status_code}: {error.message}; {hint}") from error
    except RequestException as error:
        raise PushError(f"Grafana at {url} does not answer: {error}; is the address right?") from error
    return Pushed(alerts.FOLDER_UID, sent, rules)


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
