"""A worker whose schema registry is away waits for it, loses nothing, and then answers every format."""

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from driftline.broker.ports import free_port
from inference import Registry, draft_package, write_package
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.records import Route

pytestmark = pytest.mark.timeout(180)

MODEL = """
class Half:
    def load(self, device):
        pass

    def predict(self, batch):
        return batch["x"] * 0.5
"""
SCHEMA = {
    "type": "record",
    "name": "Request",
    "fields": [{"name": "id", "type": "string"}, {"name": "x", "type": "float"}],
}


@pytest.fixture
def cluster(kafka: str, topic_prefix: str, tmp_path: Path) -> Cluster:
    table = pd.DataFrame({"x": np.linspace(0, 1, 50, dtype=np.float32)})
    package = draft_package(table, name="half", artefact="model.py:Half", task="regression").package
    write_package(package, tmp_path / "package")
    (tmp_path / "package" / "model.py").write_text(MODEL)
    Registry(tmp_path / "models").add(tmp_path / "package")
    made = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(made, Layout(requests=1))
    announce(made, lambda book: Route(model="half", epoch=0, ts=0, champion="v1"))
    return made


@pytest.fixture
def ports(cluster: Cluster, roles: Any, tmp_path: Path) -> tuple[int, int]:
    """Ports of a running worker's own HTTP and of the registry, which is not there."""
    registry = free_port()
    told = {
        "KAFKA__BOOTSTRAP": cluster.bootstrap,
        "KAFKA__PREFIX": cluster.prefix,
        "KAFKA__GROUP_PROTOCOL": "consumer",
        "REGISTRY": str(tmp_path / "models"),
        "DATA_DIR": str(tmp_path / "data"),
        "SCHEMA_REGISTRY__URL": f"http://127.0.0.1:{registry}",
    }
    return roles.start("worker", {f"DRIFTLINE_{name}": value for name, value in told.items()}), registry


def test_a_worker_waits_for_its_registry_and_answers_every_format(cluster, ports, roles):
    own, registry = ports
    avro = io.BytesIO(b"\0\0\0\0\7")
    avro.seek(5)
    fastavro.schemaless_writer(avro, fastavro.parse_schema(SCHEMA), {"id": "avro", "x": 0.5})
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"x": np.array([0.25, 0.75], np.float32), "id": ["arrow-0", "arrow-1"]})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    packed = np.array([0.125], "<f4").tobytes()
    producer, topic = cluster.producer(), cluster.topic("requests")
    producer.produce(topic, b'{"id": "json", "x": 1}')
    producer.produce(topic, avro.getvalue(), headers=[("traceparent", b"00-1")])
    producer.produce(topic, msgspec.msgpack.encode({"id": "msgpack", "x": 0.75}))
    producer.produce(topic, sink.getvalue().to_pybytes())
    told = [("content-type", b"application/vnd.driftline.float32"), ("ce_id", b"packed"), ("ce_type", b"t")]
    producer.produce(topic, packed, headers=told)
    producer.flush(10)

    roles.wait(lambda: "schema registry" in ready(own))
    assert answers(cluster) == {}
    with Registered(registry):
        roles.wait(lambda: answers(cluster))
        roles.wait(lambda: ready(own) == "ok\n")
    found = answers(cluster)
    assert {name: score for name, (score, _) in found.items()} == {
        "json": 0.5, "avro": 0.25, "arrow-0": 0.125, "arrow-1": 0.375, "packed": 0.0625, "msgpack": 0.375,
    }  # fmt: skip
    assert found["avro"][1]["traceparent"] == b"00-1"
    assert {name: value for name, value in found["packed"][1].items() if name != "latency_ms"} == dict(told[1:])
    assert list(ranges.read_all(cluster, "dead-letters")) == []


class Registered:
    """A registry with one schema."""

    def __init__(self, port: int) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"schema": json.dumps(SCHEMA)}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Answer)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def answers(cluster: Cluster) -> dict[str, tuple[float, dict[str, bytes]]]:
    found = {}
    for block in ranges.read_all(cluster, "predictions"):
        for value, headers in zip(block.values, block.headers, strict=True):
            said = json.loads(value)
            assert said["id"] not in found
            found[said["id"]] = said["score"], dict(headers or ())
    return found


def ready(port: int) -> str:
    try:
        return PoolManager(timeout=1.0, retries=False).request("GET", f"http://127.0.0.1:{port}/readyz").data.decode()
    except HTTPError:
        return ""
