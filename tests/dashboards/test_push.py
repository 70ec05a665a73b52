"""`push` against a server that keeps what it is sent: every method, path and body."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dashboards.grafana import alerts
from dashboards.grafana.classic import dashboards
from dashboards.push import PushError, push

TOKEN = "glsa_test"


class Grafana(ThreadingHTTPServer):
    """Knows folders, dashboards and alert rules; answers as Grafana's HTTP API does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.kept: dict[str, Any] = {}
        self.headers: dict[str, dict[str, str]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Grafana

    def _answer(self, status: int, body: Any) -> None:
        blob = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(blob)))
        self.end_headers()
        self.wfile.write(blob)

    def _serve(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        self.server.asked.append((self.command, self.path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Invalid API key"})
            return
        match self.command, self.path.removeprefix("/grafana").split("/")[2:]:
            case "GET", [*_, uid]:
                known = self.path.removeprefix("/grafana") in self.server.kept
                self._answer(200 if known else 404, {"uid": uid} if known else {"message": "not found"})
            case "POST", ["folders"]:
                self._keep(f"/api/folders/{body['uid']}", body)
            case "POST", ["dashboards", "db"]:
                self._keep(f"/api/dashboards/uid/{body['dashboard']['uid']}", body)
            case "POST", ["v1", "provisioning", "alert-rules"]:
                self._keep(f"/api/v1/provisioning/alert-rules/{body['uid']}", body)
            case "PUT", ["v1", "provisioning", "alert-rules", _]:
                self._keep(self.path, body)
            case _:
                self._answer(405, {"message": f"{self.command} {self.path} is not known"})

    def _keep(self, path: str, body: Any) -> None:
        self.server.kept[path] = body
        self.server.headers[path] = dict(self.headers.items())
        self._answer(200, {"status": "success"})

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with Grafana() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_first_push_creates_everything(grafana: Grafana) -> None:
    sent = push(grafana.url, TOKEN)
    boards, rules = dashboards(), alerts.for_api()
    assert grafana.asked == [
        ("GET", "/api/folders/driftline"),
        ("POST", "/api/folders"),
        *[("POST", "/api/dashboards/db")] * len(boards),
        *[
            call
            for rule in rules
            for call in (
                ("GET", f"/api/v1/provisioning/alert-rules/{rule['uid']}"),
                ("POST", "/api/v1/provisioning/alert-rules"),
            )
        ],
    ]
    assert grafana.kept["/api/folders/driftline"] == {"uid": "driftline", "title": "Driftline"}
    for uid, board in boards.items():
        body = grafana.kept[f"/api/dashboards/uid/{uid}"]
        assert (body["dashboard"], body["folderUid"], body["overwrite"]) == (board, "driftline", True)
    for rule in rules:
        path = f"/api/v1/provisioning/alert-rules/{rule['uid']}"
        assert grafana.kept[path] == rule
        assert grafana.headers[path]["X-Disable-Provenance"] == "true"
    assert (sent.folder, sent.dashboards, sent.rules) == ("driftline", list(boards), [rule["uid"] for rule in rules])


def test_second_push_changes_nothing_more(grafana: Grafana) -> None:
    push(grafana.url, TOKEN)
    kept = json.dumps(grafana.kept, sort_keys=True)
    grafana.asked.clear()
    push(grafana.url, TOKEN)
    assert json.dumps(grafana.kept, sort_keys=True) == kept
    assert ("POST", "/api/folders") not in grafana.asked
    assert {method for method, path in grafana.asked if "alert-rules" in path} == {"GET", "PUT"}


def test_another_data_source_and_a_path(grafana: Grafana) -> None:
    push(f"{grafana.url}/grafana/", TOKEN, datasource="their-clickhouse")
    assert all(path.startswith("/grafana/api/") for _, path in grafana.asked)
    text = json.dumps(grafana.kept)
    assert "driftline-clickhouse" not in text
    assert "their-clickhouse" in text


def test_a_wrong_token_is_said_so(grafana: Grafana) -> None:
    with pytest.raises(PushError, match=r"answered 401.*role Editor"):
        push(grafana.url, "wrong")


def test_nobody_there_and_no_address() -> None:
    with pytest.raises(PushError, match="does not answer"):
        push("http://127.0.0.1:9", TOKEN)
    with pytest.raises(PushError, match="no address"):
        push("grafana:3000", TOKEN)
