"""A model that serves elsewhere: its topics in; reports, an incident and outcomes out, over real processes."""

import json
import time
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np
import pandas as pd
import pytest
from confluent_kafka.admin import NewTopic

from drift import Reference
from driftline.broker.ports import free_port
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.wire.records import Alert, Outcome, Report

pytestmark = pytest.mark.timeout(300)

MINUTE = 60_000
ROWS, PER_MINUTE, PARTITIONS = 6_000, 250, 5
MOVED_FROM = ROWS // 2

SETTINGS = """
data_dir = "{folder}/data"
registry = "{folder}/models"
[kafka]
bootstrap = "{kafka}"
prefix = "{prefix}"
group_protocol = "consumer"
[clickhouse]
port = {port}
[monitor]
idle_after_ms = 1000
asleep_after_ms = 2000
snapshot_interval_ms_max = 1000
[watch]
false_alarm_every = 100.0

[[watch_topics]]
topic = "{theirs}-answers"
model = "beta"
version = "7"
reference = "{folder}/beta.reference"
id = "request.id"
ts = "request.at"
score = "answer.p"
prediction = "answer.class"
features = "request.input"
columns = {{ x = "request.input.ex" }}

[[watch_topics]]
topic = "{theirs}-truth"
id = "@key"
label = "y"
"""


def table(moved_from: int, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    x = rng.beta(2, 3, rows)
    x[moved_from:] = np.sqrt(x[moved_from:])
    p = x * 0.5 + 0.25
    y = np.where(rng.random(rows) < p, "1", "0")
    return pd.DataFrame({"x": x.astype(np.float32), "p": p, "hat": np.where(p >= 0.5, "1", "0"), "y": y})


@pytest.fixture
def cluster(kafka: str, topic_prefix: str) -> Cluster:
    made = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(made, Layout(requests=2))
    return made


@pytest.fixture
def theirs(cluster: Cluster) -> str:
    name = f"theirs-{cluster.prefix.removeprefix('test-').rstrip('.')}"
    topics = [NewTopic(f"{name}-answers", PARTITIONS, 1), NewTopic(f"{name}-truth", 1, 1)]
    admin = cluster.admin()  # it must outlive its futures
    for future in admin.create_topics(topics).values():
        future.result(15)
    return name


@pytest.fixture
def running(cluster: Cluster, theirs: str, roles: Any, tmp_path: Path) -> Any:
    """A store and a monitor."""
    trained = table(ROWS)
    known = {"task": "binary", "score": "p", "prediction": "hat", "label": "y"}
    (tmp_path / "beta.reference").write_bytes(Reference.fit(trained, **known).to_bytes())
    filled = {"folder": tmp_path, "kafka": cluster.bootstrap, "prefix": cluster.prefix, "theirs": theirs}
    (tmp_path / "driftline.toml").write_text(SETTINGS.format(**filled, port=free_port()))
    for role in ("store", "monitor"):
        roles.start(role, {"DRIFTLINE_SETTINGS": str(tmp_path / "driftline.toml")})
    return roles


def test_a_model_that_serves_elsewhere_is_watched_by_its_topics(running, cluster, theirs):
    producer = ck.Producer({"bootstrap.servers": cluster.bootstrap})
    first = (int(time.time() * 1000) // MINUTE - ROWS // PER_MINUTE) * MINUTE
    rows = table(MOVED_FROM).to_dict("records")
    for n, row in enumerate(rows):
        request = {"id": f"r{n}", "at": first + n * MINUTE // PER_MINUTE, "input": {"ex": row["x"], "else": 1}}
        answer = {"p": row["p"], "class": row["hat"]}
        value = json.dumps({"request": request, "answer": answer}).encode()
        producer.produce(f"{theirs}-answers", value, partition=n % (PARTITIONS - 1))  # one partition stays silent
        if n % 3 == 0:
            producer.produce(f"{theirs}-truth", json.dumps({"y": row["y"]}).encode(), key=f"r{n}".encode())
        producer.poll(0)
    producer.produce(f"{theirs}-answers", b'{"request": {"id": 1.5}}', partition=0)
    producer.flush(30)

    running.wait(lambda: len(read(cluster, "outcomes", Outcome)) == ROWS // 3)
    running.wait(lambda: sum(report.rows for report in newest(cluster)) == ROWS)
    outcomes, reports = read(cluster, "outcomes", Outcome), newest(cluster)
    assert {outcome.id: outcome.label for outcome in outcomes} == {f"r{n}": rows[n]["y"] for n in range(0, ROWS, 3)}
    assert {(report.model, report.version) for report in reports} == {("beta", "7")}
    [alert, *_] = read(cluster, "alerts", Alert)
    assert (alert.event, alert.columns[0].name) == ("open", "x")
    assert alert.window_end > first + MOVED_FROM * MINUTE // PER_MINUTE
    [letters] = ranges.read_all(cluster, "dead-letters")
    told = dict(letters.headers[0])
    assert (told["driftline-topic"], told["driftline-stage"]) == (f"@{theirs}-answers".encode(), b"watch")
    assert (told["driftline-reason"], told["driftline-field"]) == (b"impossible_id", b"$.request.id")


def read(cluster: Cluster, topic: str, kind: Any) -> list[Any]:
    values = [value for block in ranges.read_all(cluster, topic) for value in block.values]
    return [msgspec.json.decode(value, type=kind) for value in values]


def newest(cluster: Cluster) -> list[Report]:
    latest: dict[int, Report] = {}
    for report in read(cluster, "reports", Report):
        latest[report.window_start] = report
    return list(latest.values())
