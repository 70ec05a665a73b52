"""The store's role among records that can never be stored, on the real broker and engine, killed in the middle."""

from typing import Any

import msgspec
import pytest
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from drift.store import Store, StoreError, StoreUnavailable
from driftline.broker.ports import free_port
from driftline.roles import parts
from driftline.settings import load
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.redrive import Filter, redrive
from streams.wire.dead_letters import letters
from streams.wire.records import Outcome

pytestmark = pytest.mark.timeout(300)

TS = 1_780_000_020_000
GOOD = 200
#: A record at fault stands before every good one, of each of these kinds in turn: value and headers.
FAULTS: list[tuple[bytes | None, list[tuple[str, bytes | None]]]] = [
    (None, []),
    (b"garbage", [("traceparent", None)]),
    (b"{}", [("driftline-redrives", None)]),
    (b'{"format": 9}', []),
    (b"\xff\xfe", [("a", b"\xff"), ("driftline-again", b"outcomes/0/0/")]),
]
#: What the sink reads, and in which nothing of ours stands in this test.
OTHERS = ("alerts", "reports", "retraining", "counts", "observations")


def outcome(n: int, ts: int = TS) -> bytes:
    return msgspec.json.encode(
        Outcome(id=f"o-{n}", model="m", version="v1", ts=ts, score=0.5, prediction="1", label="1", label_ts=TS)
    )


def answers(store: Store, sql: str) -> Any:
    try:
        return store.rows(sql)[0][0]
    except (StoreError, StoreUnavailable):
        return None


def test_records_at_fault_are_set_aside_once_and_the_others_are_stored_once(
    kafka, topic_prefix, tmp_path, roles, monkeypatch
):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    port = free_port()
    environ = {
        "DRIFTLINE_KAFKA__BOOTSTRAP": kafka,
        "DRIFTLINE_KAFKA__PREFIX": topic_prefix,
        "DRIFTLINE_REGISTRY": str(tmp_path / "models"),
        "DRIFTLINE_DATA_DIR": str(tmp_path / "data"),
        "DRIFTLINE_CLICKHOUSE__PORT": str(port),
        "DRIFTLINE_SINK__ROWS_MAX": "40",
    }
    producer = cluster.producer()

    def send(topic: str, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
        producer.produce(cluster.topic(topic), value, partition=0, headers=headers)

    def refused() -> list[str]:
        blocks = ranges.read_all(cluster, "dead-letters")
        return sorted(one.source for block in blocks for one in letters(block) if one.stage == "sink")

    bad = 0
    for n in range(GOOD):
        send("outcomes", *FAULTS[n % len(FAULTS)])
        send("outcomes", outcome(n), [("traceparent", None)])
        bad += 1
    send("outcomes", outcome(GOOD, ts=10**16), [])
    for topic in OTHERS:
        for fault in FAULTS:
            send(topic, *fault)
    for headers in ([], [("driftline-topic", b"requests"), ("driftline-partition", None)], [("driftline-again", None)]):
        send("dead-letters", b"nobody's", headers)
    assert producer.flush(30) == 0
    bad += 1 + len(OTHERS) * len(FAULTS) + 3

    http = roles.start("store", environ)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    roles.wait(lambda: "sink" in ask(http, "status"))
    store = Store(parts.store_settings(load()))
    for _ in range(2):  # killed while it writes, and again
        roles.wait(lambda: answers(store, "SELECT count() FROM outcomes"))
        roles.kill("store")
        store.close()
        http = roles.start("store", environ)
    roles.wait(lambda: answers(store, "SELECT count() FROM dead_letters") == bad)
    assert (
        answers(store, "SELECT count() FROM outcomes") == answers(store, "SELECT uniqExact(id) FROM outcomes") == GOOD
    )
    found = refused()
    assert (len(found), len(set(found))) == (bad, bad)
    assert answers(store, "SELECT uniqExact(source_topic, source_offset) FROM dead_letters WHERE stage = 'sink'") == bad
    assert "records of outcomes/0 set aside as" in ask(http, "readyz")

    # Sent again, what is at fault still is set aside again, once, by the sink alone.
    assert redrive(cluster, Filter(reason="impossible_value"), 0).sent == 1
    roles.wait(lambda: answers(store, "SELECT count() FROM dead_letters") == bad + 1)
    assert refused().count(f"outcomes/0/{2 * GOOD}") == 2
    ends = ranges.bounds(cluster, "outcomes")
    assert ends[0][1] == 2 * GOOD + 1


def ask(port: int, path: str) -> str:
    try:
        return PoolManager().request("GET", f"http://127.0.0.1:{port}/{path}", timeout=5, retries=False).data.decode()
    except HTTPError:
        return ""
