"""Replay over the real processes: worker and monitor serve, and the command finds no difference."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from drift import Reference
from inference import Registry, draft_package, write_package
from streams.kafka import group_offsets as progress
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.records import Route, Watch

pytestmark = pytest.mark.timeout(420)

MINUTE = 60_000
ROWS, PER_MINUTE = 6_000, 250
WATCH = Watch(false_alarm_every=100.0, lateness_ms_max=MINUTE)

MODEL = """
class Threshold:
    def load(self, device):
        pass

    def predict(self, batch):
        return batch["x"] * 0.5 + 0.25
"""


def table(rows: int, moved_from: int) -> pd.DataFrame:
    x = np.random.default_rng(11).beta(2, 3, rows)
    x[moved_from:] = np.sqrt(x[moved_from:])
    return pd.DataFrame({"x": x.astype(np.float32)})


@pytest.fixture
def environ(kafka: str, topic_prefix: str, roles: Any, tmp_path: Path) -> dict[str, str]:
    """A worker and a monitor over a log of their own; their addresses as settings."""
    trained = table(3_000, moved_from=3_000)
    p = trained["x"].to_numpy() * np.float32(0.5) + np.float32(0.25)
    scored = trained.assign(p=p, hat=np.where(p >= 0.5, "1", "0"))
    package = draft_package(trained, name="beta", artefact="model.py:Threshold", task="binary").package
    write_package(package, tmp_path / "package")
    (tmp_path / "package" / "model.py").write_text(MODEL)
    known = {"task": "binary", "score": "p", "prediction": "hat", "features": package.schema}
    (tmp_path / "package" / "reference.arrow").write_bytes(Reference.fit(scored, **known).to_bytes())
    Registry(tmp_path / "models").add(tmp_path / "package")
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    announce(cluster, lambda book: Route(model="beta", epoch=0, ts=0, champion="v1", watch=WATCH))
    told = {
        "DRIFTLINE_KAFKA__BOOTSTRAP": kafka,
        "DRIFTLINE_KAFKA__PREFIX": topic_prefix,
        "DRIFTLINE_KAFKA__GROUP_PROTOCOL": "consumer",
        "DRIFTLINE_REGISTRY": str(tmp_path / "models"),
        "DRIFTLINE_DATA_DIR": str(tmp_path / "data"),
        "DRIFTLINE_MONITOR__IDLE_AFTER_MS": "1000",
        "DRIFTLINE_MONITOR__SNAPSHOT_INTERVAL_MS_MAX": "1000",
    }
    for role in ("worker", "monitor"):
        roles.start(role, told)
    return told


def test_a_replay_of_what_processes_served_differs_in_nothing(environ, roles, kafka, topic_prefix):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    producer = cluster.producer()
    first = (int(time.time() * 1000) // MINUTE - ROWS // PER_MINUTE) * MINUTE
    for n, x in enumerate(table(ROWS, moved_from=ROWS // 2)["x"].tolist()):
        value = json.dumps({"ts": first + n * MINUTE // PER_MINUTE, "features": {"x": x}})
        producer.produce(cluster.topic("requests"), value.encode(), partition=n % 2)
    producer.flush(30)
    for group, topic in (("score", "requests"), ("count", "observations"), ("judge", "counts")):
        roles.wait(lambda group=group, topic=topic: not list(progress.unread(cluster, group, topic)))
    command = [sys.executable, "-m", "driftline", "replay", "--json", "--fail-on-difference"]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["predictions"]["equal"] == ROWS
    assert found["drift"]["counts"]["equal"] == found["drift"]["counts"]["minutes"] == ROWS // PER_MINUTE
    assert found["drift"]["windows"]["equal"] == found["drift"]["windows"]["served"] > 15
    assert [pair["served"]["columns"][0] for pair in found["drift"]["incidents"]] != []
