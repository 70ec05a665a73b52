"""`driftline inference-worker` as a process: who asks it, and what becomes of them when it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
import urllib3
from tritonclient.utils import InferenceServerException

from inference import Limits, ModelPackage, Registry, write_package
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.kafka.sender import Sender
from streams.routes import announce
from streams.wire.records import Route
from streams.wire.schema import Feature

DEADLINE_S = 60.0
#: A model that does as the number says: it takes seconds, or is lost.
_MODEL = """
import time

from inference.backends import Fatal


class Model:
    def load(self, device):
        pass

    def predict(self, batch):
        x = batch["x"]
        if (x == -2).any():
            raise Fatal("the device is lost")
        if (x < 0).any():
            time.sleep(-float(x.min()))
        return 2 * x
"""


class Worker:
    """The process, and what it says."""

    def __init__(self, folder: Path, registry: Path, *args: str) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "driftline", "inference-worker", *args]
        environ = {**os.environ, "DRIFTLINE_REGISTRY": str(registry), "PYTHONUNBUFFERED": "1"}
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, env=environ, cwd=folder, stdout=out, stderr=out)

    def said(self) -> str:
        return self.log.read_text()

    def wait(self, true):
        until = time.monotonic() + DEADLINE_S
        while not (value := true()):
            assert time.monotonic() < until and self.process.poll() is None, self.said()
            time.sleep(0.02)
        return value

    def ready(self) -> "Worker":
        """Wait until it answers; notes its ports."""
        listens = self.wait(lambda: re.search(r"oip\.listens +grpc_port=(\d+) .*http_port=(\d+)", self.said()))
        self.grpc_port, self.http_port = map(int, listens.groups())
        self.wait(lambda: "oip.loaded" in self.said())
        return self

    def client(self, **more) -> triton.InferenceServerClient:
        again_soon = [("grpc.max_reconnect_backoff_ms", 500)]
        return triton.InferenceServerClient(f"localhost:{self.grpc_port}", channel_args=again_soon, **more)


def ask(client: triton.InferenceServerClient, *values: float, **more) -> list[float]:
    given = triton.InferInput("matrix", [len(values), 1], "FP32")
    given.set_data_from_numpy(np.array(values, np.float32)[:, None])
    return client.infer("slow", [given], **more).as_numpy("scores")[:, 0].tolist()


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Path:
    """A registry with `slow` v1, and v2, whose calls may take half a second."""
    root = tmp_path_factory.mktemp("registry")
    for version, limits in (("v1", {}), ("v2", {"call_s_max": 0.5})):
        package = ModelPackage(
            name="slow",
            version=version,
            task="regression",
            artefact="model.py:Model",
            inputs=(Feature("x"),),
            limits=Limits(batch_rows=64, buckets=(16,), **limits),
        )
        folder = write_package(package, tmp_path_factory.mktemp("package")).parent
        (folder / "model.py").write_text(_MODEL)
        Registry(root).add(folder)
    return root


@pytest.fixture
def start(tmp_path, registry):
    """Starts workers, which end with the test."""
    workers = []

    def start(*args: str) -> Worker:
        workers.append(Worker(tmp_path, registry, *args))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.wait(DEADLINE_S)


ANY = ("--grpc-port", "0", "--http-port", "0")


def test_two_clients_at_once_and_again_after_kill_9(start):
    worker = start("slow@v1", *ANY).ready()

    def many(first: int) -> list[list[float]]:
        with worker.client() as client:
            return [ask(client, *range(first, first + k + 1)) for k in range(100)]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(many, (1_000, 2_000)))
    for first, scores in zip((1_000, 2_000), answers, strict=True):
        assert scores == [[2.0 * (first + j) for j in range(k + 1)] for k in range(100)]

    with worker.client() as client:
        worker.process.kill()
        worker.process.wait(DEADLINE_S)
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            ask(client, 1)
        again = start("slow@v1", "--grpc-port", str(worker.grpc_port), "--http-port", str(worker.http_port)).ready()
        again.wait(lambda: _answers(client))


def _answers(client: triton.InferenceServerClient) -> bool:
    try:
        return ask(client, 1, 2) == [2, 4]
    except InferenceServerException:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_computes_finish_refuses_new_rows_and_leaves_nothing(start, number):
    worker = start("slow@v1", *ANY).ready()
    http = urllib3.PoolManager(retries=False)
    children = psutil.Process(worker.process.pid).children(recursive=True)
    with worker.client() as client, ThreadPoolExecutor(1) as pool:
        computing = pool.submit(ask, client, -3)
        worker.wait(lambda: _metric(http, worker, "driftline_request_wait_seconds_count") == 1)
        worker.process.send_signal(number)
        began = time.monotonic()
        worker.wait(lambda: "oip.stops" in worker.said())
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            ask(client, 1)
        assert not computing.done()
        assert computing.result() == [-6]
    assert worker.process.wait(DEADLINE_S) == 0
    assert time.monotonic() - began < 10
    assert "oip.stopped" in worker.said() and "Traceback" not in worker.said()
    assert not [child for child in children if child.is_running()]


def test_a_batch_that_does_not_return_is_not_waited_for_for_ever(start):
    worker = start("slow@v1", *ANY).ready()
    http = urllib3.PoolManager(retries=False)
    with worker.client() as client, ThreadPoolExecutor(1) as pool:
        computing = pool.submit(ask, client, -50)
        worker.wait(lambda: _metric(http, worker, "driftline_request_wait_seconds_count") == 1)
        worker.process.terminate()
        began = time.monotonic()
        with pytest.raises(InferenceServerException):
            computing.result()
    worker.process.wait(DEADLINE_S)
    assert time.monotonic() - began < 12  # 10 s, and a busy machine


def _metric(http: urllib3.PoolManager, worker: Worker, name: str) -> float | None:
    text = http.request("GET", f"http://127.0.0.1:{worker.http_port}/metrics").data.decode()
    value = re.search(rf"^{name}{{.*}} (\S+)$", text, re.MULTILINE)
    return float(value[1]) if value else None


@pytest.mark.parametrize(
    ("served", "value", "why"),
    [
        ("slow@v1", -2, "the device is lost"),
        ("slow@v2", -30, r"slow v2 has had one batch for \d+ s; limits.call_s_max = 0.5"),
    ],
)
def test_a_lost_device_and_a_call_that_hangs_end_the_process_with_a_code(start, served, value, why):
    worker = start(served, *ANY).ready()
    with worker.client() as client, pytest.raises(InferenceServerException):
        ask(client, value)
    assert worker.process.wait(DEADLINE_S) == 1
    assert re.search(why, worker.said())


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("slow@v9", *ANY), "driftline: .*slow v9"),
        (("slow", *ANY), "driftline: 'slow' names no version; write MODEL@VERSION"),
        (("slow@../v1", *ANY), "driftline: 'slow@../v1': version '../v1'"),
        (("slow@v1", *ANY, "--tls-key", "key.pem"), "driftline: a certificate needs its key"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_line(start, args, why):
    worker = start(*args)
    assert worker.process.wait(DEADLINE_S) == 1
    assert re.search(why, worker.said()) and "Traceback" not in worker.said()


def test_beyond_loopback_it_says_that_it_is_unprotected_and_tls_protects_it(start, tmp_path):
    open_to_all = start("slow@v1", *ANY, "--host", "0.0.0.0").ready()
    assert "oip.unprotected" in open_to_all.said() and "give --tls-certificate and --tls-key" in open_to_all.said()

    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    worker = start("slow@v1", *ANY, "--host", "0.0.0.0", "--tls-certificate", str(certificate), "--tls-key", str(key))
    worker.ready()
    assert "oip.unprotected" not in worker.said()
    with worker.client(ssl=True, root_certificates=str(certificate)) as client:
        assert ask(client, 4) == [8]
    http = urllib3.PoolManager(ca_certs=str(certificate), retries=False)
    assert http.request("GET", f"https://localhost:{worker.http_port}/readyz").status == 200
    with worker.client() as client, pytest.raises(InferenceServerException):
        ask(client, 4, client_timeout=5)


def test_an_agent_asks_it_and_loses_nothing_while_it_is_killed(kafka, topic_prefix, start, registry, roles, tmp_path):
    """Each request has one prediction; the agent has loaded no model."""
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=1))
    announce(cluster, lambda book: Route(model="slow", epoch=0, ts=0, champion="v1"))
    worker = start("slow@v1", *ANY).ready()
    environ = {
        "DRIFTLINE_KAFKA__BOOTSTRAP": kafka,
        "DRIFTLINE_KAFKA__PREFIX": topic_prefix,
        "DRIFTLINE_REGISTRY": str(registry),
        "DRIFTLINE_DATA_DIR": str(tmp_path / "data"),
        "DRIFTLINE_SCORE__WORKERS": json.dumps([f"grpc://127.0.0.1:{worker.grpc_port}"]),
    }
    roles.start("worker", environ)

    def send(first: int, count: int) -> None:
        sender = Sender(cluster)
        for n in range(first, first + count):
            sender.send("requests", json.dumps({"id": str(n), "features": {"x": n}}).encode())
        sender.finish()

    def answered() -> list[tuple[str, float]]:
        values = [json.loads(value) for block in ranges.read_all(cluster, "predictions") for value in block.values]
        return [(value["id"], value["score"]) for value in values]

    send(0, 500)
    roles.wait(lambda: len(answered()) == 500)
    worker.process.kill()
    worker.process.wait(DEADLINE_S)
    send(500, 500)
    again = start("slow@v1", "--grpc-port", str(worker.grpc_port), "--http-port", "0").ready()
    roles.wait(lambda: len(answered()) == 1_000)
    assert answered() == [(str(n), 2.0 * n) for n in range(1_000)]
    assert not list(ranges.read_all(cluster, "dead-letters"))
    assert _metric(urllib3.PoolManager(), again, "driftline_batch_rows_total") >= 500
