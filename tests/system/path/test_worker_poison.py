"""Requests and models that would stop a worker: each request has one outcome, and the worker goes on as it is."""

import json
from collections import Counter

import confluent_kafka as ck
import pytest

from inference import Registry
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.records import Route

pytestmark = pytest.mark.timeout(300)

TOML = """
name = "m"
version = "v1"
task = "regression"
artefact = "model.py:Poisoned"
[[inputs]]
name = "x"
required = true
"""
CODE = """
import asyncio
import numpy as np

class Silent(BaseException):
    pass

class Unspeakable(Exception):
    def __str__(self):
        raise SystemExit(1)

FAULTS = {
    -1: SystemExit(3), -2: GeneratorExit(), -3: KeyboardInterrupt(), -4: RecursionError("deep"), -5: MemoryError(),
    -6: Silent("unheard"), -7: asyncio.CancelledError(), -8: StopIteration(), -9: Unspeakable(),
    -10: ValueError("half a pair \\ud800"),
}

class Poisoned:
    def load(self, device): ...
    def predict(self, batch):
        x = batch["x"]
        for value, error in FAULTS.items():
            if (x == value).any():
                raise error
        if (x == -11).any():
            return np.zeros((3, 7), np.float32)
        if (x == -12).any():
            return "nonsense"
        return np.where(x == -13, np.nan, x * 2)
"""
FAULTS = 13
NAMES = (
    *("model", "ce_id", "ce_time", "ce_type", "ce_source", "content-type", "traceparent"),
    *("driftline-topic", "driftline-offset", "driftline-redrives", "driftline-redriven-from", "driftline-redriven", ""),
)
VALUES = {"null": None, "empty": b"", "no text": b"\xff\xfe\x00", "long": b"9" * 100_000}
#: Up to what Kafka takes in one record.
SIZES = {
    "one of 950 kB": [("big", b"y" * 950_000)],
    "20,000 of them": [("n", b"")] * 20_000,
    "a name of 100 kB": [("n" * 100_000, b"v")],
    "100 nulls": [("n", None)] * 100,
    "the same name": [("model", None), ("model", b"m"), ("model", b"other")],
}


def requests():
    """Value and headers of each request, good and broken bodies under all headers."""
    for x in range(1, 20):
        yield {"features": {"x": x}}, None
    for fault in range(1, FAULTS + 1):
        yield {"features": {"x": -fault}}, None
    for name in NAMES:
        for value in VALUES.values():
            yield {"features": {"x": 5}}, [(name, value)]
            yield "{", [(name, value)]
    for headers in SIZES.values():
        yield {"features": {"x": 6}}, headers
        yield "{", headers


def test_each_request_has_one_outcome_and_the_worker_goes_on(kafka, topic_prefix, tmp_path, roles):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.toml").write_text(TOML)
    (folder / "model.py").write_text(CODE)
    Registry(tmp_path / "models").add(folder)
    producer = ck.Producer({"bootstrap.servers": kafka})
    for record in (b'{"hello":"world"}', None, b"", b"garbage"):
        producer.produce(cluster.topic("models"), record)
    announce(cluster, lambda book: Route(model="m", epoch=0, ts=0, champion="v1"))

    sent = 0
    for n, (body, headers) in enumerate(requests()):
        value = body if isinstance(body, str) else json.dumps({"id": str(n), **body})
        producer.produce(cluster.topic("requests"), value, partition=n % 2, headers=headers)
        sent += 1
    assert producer.flush(60) == 0

    roles.start(
        "worker",
        {
            "DRIFTLINE_KAFKA__BOOTSTRAP": kafka,
            "DRIFTLINE_KAFKA__PREFIX": topic_prefix,
            "DRIFTLINE_REGISTRY": str(tmp_path / "models"),
            "DRIFTLINE_DATA_DIR": str(tmp_path / "data"),
        },
    )

    def answers() -> list[dict]:
        return [json.loads(value) for block in ranges.read_all(cluster, "predictions") for value in block.values]

    def letters() -> list[dict[str, bytes]]:
        return [dict(headers or ()) for block in ranges.read_all(cluster, "dead-letters") for headers in block.headers]

    roles.wait(lambda: len(answers()) + len(letters()) >= sent)
    predictions, refused = answers(), letters()
    outcomes = Counter([one["id"] for one in predictions])
    outcomes.update(str(2 * int(one["driftline-offset"]) + int(one["driftline-partition"])) for one in refused)
    assert outcomes == {str(n): 1 for n in range(sent)}
    reasons = Counter(one["driftline-reason"].decode() for one in refused)
    assert reasons["model_failed"] == FAULTS
    assert {"model_failed", "undecodable"} <= reasons.keys()
    by_fault = {int(one["driftline-offset"]) * 2 + int(one["driftline-partition"]): one for one in refused}
    why = [by_fault[18 + fault]["driftline-detail"].decode() for fault in range(1, FAULTS + 1)]
    assert [text.partition(":")[0].partition(" ")[0] for text in why] == [
        *("SystemExit", "GeneratorExit", "KeyboardInterrupt", "RecursionError", "OutOfMemory", "Silent"),
        *("CancelledError", "StopIteration", "Unspeakable", "ValueError", "ValueError", "TypeError", "model"),
    ]
    assert all(one["score"] > 0 for one in predictions)

    producer.produce(cluster.topic("requests"), b'{"id":"last","features":{"x":21}}')
    assert producer.flush(30) == 0
    roles.wait(lambda: any(one["id"] == "last" and one["score"] == 42 for one in answers()))
    log = (tmp_path / "worker.log").read_text()
    assert log.count("routes.passed_over") == 1 and "score.crash" not in log
