"""`push` against a server that keeps what it is sent: every method, path and body."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from dashboards.grafana import alerts
from dashboards.grafana.classic import dashboards
from dashboards.grafana.source import Source
from dashboards.push import PushError, push
from driftline.cli import app

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
            case "POST", ["datasources"]:
                self._keep(f"/api/datasources/uid/{body['uid']}", body)
            case "PUT", ["datasources", "uid", _]:
                self._keep(self.path, body)
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


SOURCE = Source("store", 9440, "reader", "prod", secure=True)


def test_a_data_source_is_made_and_then_brought_up_to_date(grafana: Grafana) -> None:
    done = push(grafana.url, TOKEN, source=SOURCE, password="secret")
    kept = grafana.kept["/api/datasources/uid/driftline-clickhouse"]
    assert kept["jsonData"] == {
        "host": "store",
        "port": 9440,
        "protocol": "native",
        "secure": True,
        "username": "reader",
        "defaultDatabase": "prod",
    }
    assert (kept["secureJsonData"], kept["type"]) == ({"password": "secret"}, "grafana-clickhouse-datasource")
    assert done.datasource_made == "made"
    assert push(grafana.url, TOKEN, source=SOURCE).datasource_made == "updated"


def test_without_a_data_source_nothing_is_sent_and_the_remedy_is_named(grafana: Grafana) -> None:
    with pytest.raises(PushError, match=r"no data source with the uid mine.*--datasource UID.*--datasource-url"):
        push(grafana.url, TOKEN, datasource="mine", look=True)
    assert grafana.kept == {}


def test_the_command_says_in_words_what_it_sent(grafana: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    words = ["dashboards", "push", "--url", grafana.url, "--token", "env:GRAFANA_TOKEN"]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, PushError)
    sent = CliRunner().invoke(app, [*words, "--datasource-url", "clickhouse://reader@store:9000/prod"])
    assert sent.exit_code == 0, sent.output
    first, second, third = sent.output.splitlines()
    boards, rules = len(dashboards()), len(alerts.for_api())
    assert first == f"{boards} dashboards and {rules} alert rules are in {grafana.url}, folder Driftline"
    assert second == "they ask the data source driftline-clickhouse, made"
    assert third == f"begin at {grafana.url}/d/{next(iter(dashboards()))}"
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).output)["folder"] == "driftline"
    wrong = CliRunner().invoke(app, [*words, "--datasource-url", "http://store"])
    assert "--datasource-url: 'http://store' is no clickhouse://" in str(wrong.exception)


def test_build_writes_the_data_source_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def written(settings: str) -> Any:
        (tmp_path / "driftline.toml").write_text(settings)
        assert CliRunner().invoke(app, ["dashboards", "build", "--out", "g"]).exit_code == 0
        assert CliRunner().invoke(app, ["dashboards", "check", "--out", "g"]).exit_code == 0
        text = (tmp_path / "g/provisioning/datasources/driftline.yaml").read_text()
        [source] = yaml.safe_load(text)["datasources"]
        password = source["secureJsonData"]["password"]
        return [
            *(source["jsonData"][key] for key in ("host", "port", "username", "defaultDatabase", "secure")),
            password,
        ]

    environment, in_file = "$CLICKHOUSE_PASSWORD", "$__file{" + f"{tmp_path}/.driftline/store/reader.password" + "}"
    assert written("") == ["$CLICKHOUSE_HOST", 9000, "$CLICKHOUSE_USER", "$CLICKHOUSE_DATABASE", False, environment]
    assert written('[clickhouse]\nurl = "clickhouses://me@ch/prod"') == ["ch", 9440, "me", "prod", True, environment]
    assert written("[clickhouse]\nport = 21000") == ["127.0.0.1", 21000, "reader", "driftline", False, in_file]
