"""A worker whose model has a target of latency: it chooses, shows what, and answers each request once."""

import json
import time
from urllib.request import urlopen

import pytest

from inference import Registry
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.kafka.sender import Sender
from streams.routes import announce
from streams.wire.records import Route

pytestmark = pytest.mark.timeout(300)

TOML = """
name = "m"
version = "v1"
task = "regression"
artefact = "model.py:Double"
[limits]
latency_ms_p99 = 2000
wait_ms_max = 50
[[inputs]]
name = "x"
required = true
"""
CODE = """
class Double:
    def load(self, device): ...
    def predict(self, batch):
        return batch["x"] * 2
"""


def test_a_target_is_followed_and_each_request_is_answered_once(kafka, topic_prefix, tmp_path, roles):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.toml").write_text(TOML)
    (folder / "model.py").write_text(CODE)
    Registry(tmp_path / "models").add(folder)
    announce(cluster, lambda book: Route(model="m", epoch=0, ts=0, champion="v1"))
    environ = {
        "DRIFTLINE_KAFKA__BOOTSTRAP": kafka,
        "DRIFTLINE_KAFKA__PREFIX": topic_prefix,
        "DRIFTLINE_REGISTRY": str(tmp_path / "models"),
        "DRIFTLINE_DATA_DIR": str(tmp_path / "data"),
        "DRIFTLINE_SCORE__TRUST_CODE": "true",
    }
    port = roles.start("worker", environ)
    sent = 0

    def metric(name: str) -> float:
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
                lines = page.read().decode().splitlines()
        except OSError:  # it starts
            return 0.0
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"driftline_{name}")), 0.0)

    def tuned() -> bool:
        """Send some more, evenly, until the controller has chosen."""
        nonlocal sent
        sender = Sender(cluster)
        for n in range(sent, sent + 50):
            sender.send("requests", json.dumps({"id": str(n), "features": {"x": n}}).encode())
            time.sleep(0.004)
        sender.finish()
        sent += 50
        return metric('batching_changes_total{holds="tuned"') > 0

    roles.wait(tuned)
    roles.wait(lambda: tuned() and metric("batching_wait_seconds") > 0)
    assert 1 <= metric("batching_rows_max") <= 5_000 and metric("batching_wait_seconds") <= 0.05

    def answers() -> list[str]:
        return [json.loads(value)["id"] for block in ranges.read_all(cluster, "predictions") for value in block.values]

    roles.wait(lambda: len(answers()) >= sent)
    assert sorted(answers(), key=int) == [str(n) for n in range(sent)]
