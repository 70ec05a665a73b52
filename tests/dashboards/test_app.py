"""The page over HTTP: JSON twins, probes, what it refuses, and how it behaves while the store is away."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from typing import Any
from urllib.parse import quote, unquote

import flask.testing
import msgspec
import pandas as pd
import pytest
import scene

from dashboards.page import make_app
from dashboards.page.address import INSTANT_MS_MAX, Address
from dashboards.page.connections import HEADERS
from dashboards.page.json_view import json_view
from dashboards.page.page_data import gather
from dashboards.page.query_cache import ANSWERS_MAX, WAITING_MAX, Answer, Busy, QueryCache
from dashboards.page.view import render
from dashboards.panels import at_level, named
from drift.store import Store

pytestmark = pytest.mark.system  # minutes: `make test-all`


@pytest.fixture(scope="module")
def client(store: Store) -> flask.testing.FlaskClient:
    return make_app(store.query, scene.status, clock=lambda: scene.END_MS + 20_000).test_client()


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/api", "fleet"),
        ("/api/m/employment", "model"),
        ("/api/m/employment/c/RELP", "column"),
        ("/api/i/employment-1", "incident"),
        ("/api/pipeline", "pipeline"),
    ],
)
def test_every_page_has_a_twin(client: flask.testing.FlaskClient, path: str, page: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    said = json.loads(answer.data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert said["page"] == page
    assert said["sentence"].endswith(".")
    assert (said["from_ms"], said["to_ms"]) == (scene.START_MS, scene.END_MS)
    assert {panel.name for panel in at_level(page)} <= set(said["panels"])
    for name, panel in said["panels"].items():
        assert panel["question"] == named(name).question
        assert panel["rows"], name


def test_the_twin_says_what_the_page_says(client: flask.testing.FlaskClient) -> None:
    said = client.get("/api/m/employment").json
    assert said["severity"] == "watch"
    assert said["sentence"].startswith(
        "Since 03:12 RELP has moved: levels 16 and 17 fell from 7.3 % to 0 %. Predictions unchanged (score: KS "
        "distance at most 0.03). Whether AUC changed is unclear: "
    )
    assert said["sentence"].endswith("labels cover 60 % of the rows.")
    assert client.get("/api/m/churn").json["sentence"].startswith("Nothing has moved. 17 columns watched")


def test_addresses_pin_a_range(client: flask.testing.FlaskClient) -> None:
    start, end = scene.START_MS + 600_000, scene.START_MS + 1_200_000
    said = client.get(f"/api/m/employment?from={start}&to={end}").json
    times = {row["time"] for row in said["panels"]["drift_map"]["rows"]}
    assert (min(times), max(times)) == (start, end)
    later = client.get(f"/api/m/employment?from={start + 600_000}&to={end + 600_000}").json
    assert min(row["time"] for row in later["panels"]["drift_map"]["rows"]) == start + 600_000
    last_hour = client.get("/api/m/employment?last=1h").json
    assert last_hour["to_ms"] - last_hour["from_ms"] == 3_600_000


def test_any_name_has_an_address(client: flask.testing.FlaskClient) -> None:
    for column in ("debt/income", "share %", "a?b#c", "Größe", "a%2Fb", "../x"):
        address = Address(page="column", model="m", column=column, last="6h")
        path, _, search = address.href.partition("?")
        assert Address.read(path, search) == address
        assert client.get("/api" + address.href).json["address"] == address.href


BAD = {
    "later than any clock": "from=0&to=999999999999999",
    "a digit more": "from=99999999999999",
    "no number": "from=NaN",
    "negative": "from=-1",
    "a fraction": "to=1.5",
    "exponent": "to=1e12",
    "other digits": "from=%D9%A1%D9%A2",
    "empty": "from=",
    "twice": "from=1&from=2",
    "backwards": "from=2&to=1",
    "stretch": "last=2h",
    "stretch twice": "last=1h&last=6h",
    "very long": "x=" + "a" * 3_000,
    "a long number": "from=" + "9" * 400,
    "not UTF-8": "last=%FF%FE",
}


@pytest.mark.parametrize("search", BAD.values(), ids=BAD)
@pytest.mark.parametrize("path", ["/api", "/api/m/employment", "/api/m/employment/c/RELP", "/api/pipeline"])
def test_a_parameter_that_is_none_is_a_400_that_says_which(
    client: flask.testing.FlaskClient, path: str, search: str
) -> None:
    answer = client.get(f"{path}?{search}")
    assert answer.status_code == 400
    assert len(answer.json["error"]) < 200 and answer.json["error"].split()[0] in ("from", "to", "last", "the")


@pytest.mark.parametrize("search", BAD.values(), ids=BAD)
def test_a_page_leaves_out_what_it_does_not_understand(client: flask.testing.FlaskClient, search: str) -> None:
    address = Address.read("/m/employment", search)
    assert address.page == "model" and all(ms is None or 0 <= ms <= INSTANT_MS_MAX for ms in (address.start_ms,))
    assert client.get("/api" + address.href).status_code in (200, 400)


@pytest.mark.parametrize("end", [0, 1, 7_258_118_400_000])
def test_the_bounds_themselves_are_answered(client: flask.testing.FlaskClient, end: int) -> None:
    for path in ("/api", "/api/m/employment", "/api/m/employment/c/RELP", "/api/i/employment-1", "/api/pipeline"):
        answer = client.get(f"{path}?from=0&to={end}")
        assert answer.status_code == 200, path
        assert not any("trouble" in panel for panel in answer.json["panels"].values()), path


@pytest.mark.parametrize(
    "path",
    [
        "/api/" + "a" * 9_000,
        "/api/m/%FF%FE%00",
        "/api/m/a%00b/c/%0A",
        "/api/m/employment/c/" + "%F0%9F%98%80" * 200,
        "/_dash-component-suites/none/x.js",
        "/_dash-component-suites/../../etc/passwd",
        "/assets/../app.py",
        "/_reload-hash",
        "/_dash-update-component",
    ],
)
def test_no_path_is_a_fault_of_ours(client: flask.testing.FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code < 500
    assert b"root:" not in answer.data and b"import dash" not in answer.data


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"{}", b'{"output": 1}', b'{"output": "x.y", "inputs": [], "state": []}', b"\xff"],
)
def test_what_the_page_never_sends_to_its_callback_is_a_400(client: flask.testing.FlaskClient, body: bytes) -> None:
    answer = client.post("/_dash-update-component", data=body, content_type="application/json")
    assert 400 <= answer.status_code < 500


def test_every_answer_is_fenced_and_what_is_private_is_kept_nowhere(client: flask.testing.FlaskClient) -> None:
    for path in ("/", "/api", "/api/x/y", "/livez", "/metrics", "/none", "/api?from=x", "/_dash-layout"):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
        assert answer.headers["Cache-Control"] == "no-store", path
    refused = client.get("/", headers={"Host": "evil.example"})
    assert refused.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    script = client.get("/_dash-component-suites/plotly/package_data/plotly.min.js")
    assert script.status_code == 200 and "no-store" not in script.headers.get("Cache-Control", "")


HOSTS = {
    "127.0.0.1": 200,
    "localhost:18080": 200,
    "LOCALHOST": 200,
    "[::1]:1": 200,
    "127.0.0.1.evil.example": 403,
    "evil.example:127": 403,
    "localhost@evil.example": 403,
    "127.0.0.1 evil": 403,
    "": 403,
    "drift.example.com": 403,
}


@pytest.mark.parametrize(("name", "code"), HOSTS.items(), ids=HOSTS)
def test_a_host_that_is_not_ours_is_refused(client: flask.testing.FlaskClient, name: str, code: int) -> None:
    assert client.get("/livez", headers={"Host": name}).status_code == code


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_behind_a_proxy_its_name_is_let_in_and_no_other(host: str) -> None:
    def away(sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        raise ConnectionError("connection refused")

    behind = make_app(away, dict, host=host, hosts=["drift.example.com"]).test_client()
    codes = [
        behind.get("/livez", headers={"Host": name}).status_code
        for name in ("drift.example.com", "Drift.Example.com:443", "127.0.0.1", "evil.example")
    ]
    assert codes == [200, 200, 200, 403]
    open_to_all = make_app(away, dict, host="0.0.0.0").test_client()
    assert open_to_all.get("/livez", headers={"Host": "anything"}).status_code == 200


ODD_NAMES = [
    "debt/income",
    "share %",
    "a?b#c",
    "Größe",
    "a%2Fb",
    "../x",
    "a~2Fb",
    "~",
    "a+b&c=d",
    "x;y,z@$",
    "100%",
    "é/è",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_link_inside_a_chart_survives_what_the_chart_does_to_it(name: str) -> None:
    address = Address(page="column", model="m/1", column=name, last="6h", root="/drift")
    for given in (address, msgspec.structs.replace(address, model="m")):
        # Plotly writes encodeURI(decodeURI(href)) for a link in its texts.
        seen = quote(_decode_uri(given.chart_href), safe=";/?:@&=+$,#-_.!~*'()")
        path, _, search = seen.partition("?")
        assert Address.read(path, search, "/drift") == given


def _decode_uri(text: str) -> str:
    """As JavaScript's: what stands for one of these characters stays encoded."""
    kept = re.compile("(%(?:3B|2F|3F|3A|40|26|3D|2B|24|2C|23))", re.IGNORECASE)
    return "".join(part if kept.fullmatch(part) else unquote(part) for part in kept.split(text))


def test_nowhere_is_404(client: flask.testing.FlaskClient) -> None:
    assert client.get("/api/x/y").status_code == 404
    assert client.get("/api/m/nobody").json["severity"] == "empty"


def test_probes_and_metrics(client: flask.testing.FlaskClient) -> None:
    for path in ("/livez", "/readyz", "/startupz"):
        assert (client.get(path).status_code, client.get(path).data) == (200, b"ok\n")
    client.get("/api")
    metrics = client.get("/metrics").data.decode()
    assert 'driftline_page_query_seconds_count{query="fleet"}' in metrics


def test_read_only_and_on_this_host_alone(client: flask.testing.FlaskClient) -> None:
    assert client.post("/api").status_code == 405
    assert client.delete("/m/employment").status_code == 405
    assert client.get("/api", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/api", headers={"Host": "localhost:18080"}).status_code == 200
    assert client.get("/api", headers={"Host": "[::1]:18080"}).status_code == 200
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy


def test_the_shell_names_no_other_host(client: flask.testing.FlaskClient) -> None:
    page = client.get("/").data.decode().replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in page
    assert "https://" not in page


class Flaky:
    """A store that can be switched off."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.up = True
        self.asked = 0

    def query(self, sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        self.asked += 1
        if not self.up:
            raise ConnectionError("connection refused")
        return self.store.query(sql, parameters)


@pytest.fixture
def flaky(store: Store) -> Iterator[tuple[Flaky, QueryCache, list[int]]]:
    now = [scene.END_MS]
    source = Flaky(store)
    yield source, QueryCache(source.query, scene.status, lambda: now[0]), now


def test_a_stale_panel_keeps_its_picture(flaky: tuple[Flaky, QueryCache, list[int]]) -> None:
    source, desk, now = flaky
    address = Address(page="model", model="employment")
    before = gather(desk, address)
    source.up = False
    now[0] += 60_000
    after = gather(desk, address)
    assert after.trouble == "connection refused"
    for name, answer in before.answers.items():
        pd.testing.assert_frame_equal(after.answers[name].frame, answer.frame)
        assert after.answers[name].asked_ms == scene.END_MS
    source.up = True
    now[0] += 60_000
    assert gather(desk, address).trouble == ""


def test_without_a_store_the_page_still_answers() -> None:
    def away(sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        raise ConnectionError("connection refused")

    def silent() -> dict[str, Any]:
        raise ConnectionError("no role answers")

    client = make_app(away, silent, clock=lambda: scene.END_MS).test_client()
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert b"connection refused" in client.get("/readyz").data
    for path in ("/api", "/api/m/x", "/api/m/x/c/y", "/api/i/z", "/api/pipeline"):
        said = client.get(path).json
        assert said["severity"] == "empty", path
        assert all(panel["trouble"] for panel in said["panels"].values())


def test_readers_share_answers_for_a_moment(flaky: tuple[Flaky, QueryCache, list[int]]) -> None:
    source, desk, now = flaky
    gather(desk, Address())
    once = source.asked
    gather(desk, Address())
    assert source.asked == once
    now[0] += 60_000
    gather(desk, Address())
    assert source.asked == 2 * once


def test_a_slow_answer_serves_for_longer() -> None:
    quick, slow = (Answer(pd.DataFrame(), 0, took_ms=took) for took in (10, 1_000))
    assert (quick.serves(1_499), quick.serves(1_500)) == (True, False)
    assert (slow.serves(19_999), slow.serves(20_000)) == (True, False)
    assert not Answer(pd.DataFrame(), 0, "away").serves(0)


def test_answers_kept_are_bounded(flaky: tuple[Flaky, QueryCache, list[int]]) -> None:
    _, desk, _ = flaky
    for number in range(ANSWERS_MAX + 50):
        desk.range(Address(page="model", model=f"m{number}"))
    assert len(desk._answers) == ANSWERS_MAX


class Slow:
    """A store that answers when it is let."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.go = threading.Event()
        self.go.set()

    def query(self, sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        assert self.go.wait(60)
        return self.store.query(sql, parameters)


def test_a_reader_is_given_what_is_kept_while_the_store_is_busy_with_others(store: Store) -> None:
    now, slow = [scene.END_MS], Slow(store)
    desk = QueryCache(slow.query, scene.status, lambda: now[0])
    address = Address(page="model", model="employment")
    before = gather(desk, address)
    slow.go.clear()
    others = [threading.Thread(target=_tried, args=(desk, Address(page="model", model=f"m{n}"))) for n in range(30)]
    for thread in others:
        thread.start()
    end = time.monotonic() + 60
    while desk._waiting < WAITING_MAX:
        assert time.monotonic() < end, desk._waiting
        time.sleep(0.01)
    now[0] += 50_000  # what is kept is old, and there is nothing newer yet
    began = time.monotonic()
    again = gather(desk, address)
    assert time.monotonic() - began < 5 and again.trouble == ""
    assert {name: answer.asked_ms for name, answer in again.answers.items()} == {
        name: answer.asked_ms for name, answer in before.answers.items()
    }
    with pytest.raises(Busy, match="ask again in a second"):
        gather(desk, Address(page="model", model="never asked for"))
    slow.go.set()
    for thread in others:
        thread.join(60)
    assert gather(desk, address).answers["score"].asked_ms == now[0]


def _tried(desk: QueryCache, address: Address) -> None:
    with suppress(Busy):
        gather(desk, address)


def test_too_many_readers_are_a_429(store: Store, monkeypatch) -> None:
    monkeypatch.setattr("dashboards.page.query_cache.WAITING_MAX", 0)
    client = make_app(store.query, scene.status, clock=lambda: scene.END_MS).test_client()
    answer = client.get("/api/m/employment")
    assert (answer.status_code, answer.json["error"].partition(";")[2]) == (429, " ask again in a second")


def test_a_store_that_hangs_is_waited_for_once_and_not_by_every_panel(monkeypatch) -> None:
    monkeypatch.setattr("dashboards.page.query_cache.SLOW_FAILURE_MS", 100)
    asked = []

    def hangs(sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        asked.append(sql)
        time.sleep(0.2)
        raise TimeoutError("timed out")

    now = [scene.END_MS]
    desk = QueryCache(hangs, scene.status, lambda: now[0])
    assert gather(desk, Address(page="model", model="employment")).trouble == "timed out"
    assert len(asked) == 1
    now[0] += 6_000
    gather(desk, Address(page="model", model="employment"))
    assert len(asked) == 2


STORE_AWAY = "the store at 127.0.0.1:9000 does not answer (timed out)"
KAFKA_AWAY = "no Kafka broker answers at k:9092: timed out"


@pytest.mark.parametrize("path", ["", "/m/employment", "/m/employment/c/RELP", "/i/employment-1", "/pipeline"])
def test_what_is_away_stands_above_every_page_and_in_its_twin(store: Store, path: str) -> None:
    why, now = [""], [scene.END_MS]
    roles: dict[str, Any] = {"worker-0": {"state": "up", "waits": [KAFKA_AWAY]}, "http://s": {"state": "no answer"}}
    desk = QueryCache(store.query, lambda: {"roles": roles}, lambda: now[0], lambda: why[0])
    address = Address.read(path or "/", "")
    before = gather(desk, address)
    waits = [f"worker-0 waits: {KAFKA_AWAY}", "http://s does not answer; `driftline status` says whether it runs"]
    assert before.away == json_view(before)["away"] == waits
    why[0] = STORE_AWAY
    now[0] += 60_000
    away = gather(desk, address)
    banner = f"The store is away, and the page shows what it answered last: {STORE_AWAY}"
    assert away.away == json_view(away)["away"] == [banner, *waits]
    assert away.trouble == STORE_AWAY
    for name, answer in before.answers.items():
        pd.testing.assert_frame_equal(away.answers[name].frame, answer.frame)
    shown = json.dumps(
        render(away, UTC)[0].to_plotly_json(), default=lambda one: getattr(one, "to_plotly_json", one.__str__)()
    )
    assert all(json.dumps(text)[1:-1] in shown for text in (banner, *waits))


def test_while_the_store_is_away_nobody_waits_for_it() -> None:
    why, go, asked = [""], threading.Event(), []

    def hangs(sql: str, parameters: dict[str, Any]) -> pd.DataFrame:
        asked.append(sql)
        assert go.wait(60)
        raise TimeoutError("timed out")

    desk = QueryCache(hangs, dict, lambda: scene.END_MS, lambda: why[0])
    readers = [threading.Thread(target=gather, args=(desk, Address(page="pipeline"))) for _ in range(3)]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + 60
    while desk._waiting < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    why[0] = STORE_AWAY
    while sum(reader.is_alive() for reader in readers) > 1:  # the one whose question hangs already
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert gather(desk, Address(page="model", model="employment")).trouble == STORE_AWAY
    assert desk.probe() == STORE_AWAY
    assert len(asked) == 1
    go.set()
    readers[0].join(60)


def test_what_is_asked_for_often_is_kept_longest(flaky: tuple[Flaky, QueryCache, list[int]]) -> None:
    source, desk, _ = flaky
    often = Address(page="model", model="employment")
    desk.range(often)
    for number in range(ANSWERS_MAX + 50):
        desk.range(Address(page="model", model=f"m{number}"))
        desk.range(often)
    assert source.asked == ANSWERS_MAX + 51


def test_the_roles_are_asked_once_a_second_at_most(store: Store) -> None:
    asked = []

    def status() -> dict[str, Any]:
        asked.append(1)
        return scene.status()

    desk = QueryCache(store.query, status, lambda: scene.END_MS)
    for _ in range(5):
        desk.live()
    assert len(asked) == 1
