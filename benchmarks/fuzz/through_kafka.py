"""The same through a real broker and a real worker: sent, answered, and read back by a plain reader."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import confluent_kafka as ck
import psutil

from benchmarks.fuzz.accounts import Accounts, Found
from benchmarks.fuzz.messages import message
from benchmarks.fuzz.subject import AVRO, MODEL, register
from driftline.broker import EmbeddedBroker
from driftline.broker.ports import free_port
from driftline.broker.record import prepare
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.records import Route

PARTITIONS = 4
_TOPICS = ("predictions", "observations", "dead-letters")
#: Messages that may wait for the worker: the disk is no part of the test.
_AHEAD_MAX = 20_000
_STUCK_S = 60.0


def through_kafka(rows: int, seed: int) -> Found:
    """Send so many messages to a worker, and draw up the accounts."""
    prepare()
    with TemporaryDirectory(prefix="driftline-fuzz-") as temporary:
        folder = Path(temporary)
        register(folder)
        with EmbeddedBroker(folder / "kafka") as broker, _registry() as registry:
            cluster = Cluster(bootstrap=broker.bootstrap, prefix="fuzz.", group_protocol="consumer")
            create(cluster, Layout(requests=PARTITIONS))
            announce(cluster, lambda book: Route(model=MODEL, epoch=0, ts=0, champion="v1"))
            with _Worker(cluster, folder, registry) as worker:
                return _Run(cluster, worker, rows, seed).found()


class _Run:
    def __init__(self, cluster: Cluster, worker: "_Worker", rows: int, seed: int) -> None:
        self._cluster, self._worker, self._rows, self._seed = cluster, worker, rows, seed
        self._accounts = Accounts(rows, PARTITIONS)
        self._producer = cluster.producer()
        self._reader = cluster.reader()
        partitions = cluster.admin().list_topics(timeout=15).topics
        self._reader.assign(
            [
                ck.TopicPartition(cluster.topic(topic), partition, 0)
                for topic in _TOPICS
                for partition in partitions[cluster.topic(topic)].partitions
            ]
        )

    def found(self) -> Found:
        """Send, read, and wait for what is missing."""
        began, moved, sent, answered, early = time.monotonic(), time.monotonic(), 0, 0, 0.0
        while answered < self._rows and time.monotonic() - moved < _STUCK_S:
            self._worker.look()
            if sent < self._rows and sent - answered < _AHEAD_MAX:
                self._send(sent, min(sent + 1_000, self._rows))
                sent = min(sent + 1_000, self._rows)
            self._read(0.0 if sent < self._rows else 0.1)
            before, answered = answered, self._accounts.answered()
            moved = time.monotonic() if answered > before else moved
            if answered * 10 // self._rows > before * 10 // self._rows:
                resident = self._worker.resident_mb()
                early = early or resident
                print(f"  {answered:,} messages answered, worker {resident:,.0f} MB", file=sys.stderr)
        late = self._worker.resident_mb()
        for _ in range(10):  # whatever should not be there would come now
            self._read(0.1)
        return self._accounts.found(
            self._seed,
            seconds=round(time.monotonic() - began, 1),
            crashes=self._worker.crashes,
            early_mb=round(early, 1),
            late_mb=round(late, 1),
        )

    def _send(self, first: int, stop: int) -> None:
        topic = self._cluster.topic("requests")
        for n in range(first, stop):
            made = message(self._seed, n)
            at: dict[str, Any] = {"partition": n % PARTITIONS, "headers": made.headers}
            while True:
                try:
                    self._producer.produce(topic, made.value, b"%d" % n, **at)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self._producer.poll(0)

    def _read(self, wait_s: float) -> None:
        more = self._reader.consume(1, wait_s)
        while more:
            for m in more:
                if m.error() is None:
                    self._accounts.take(self._cluster.logical(m.topic()), m.key(), m.value(), m.headers())
            more = self._reader.consume(5_000, 0)


class _Worker:
    """The role as `driftline worker` runs it; what ends is counted, and started again."""

    def __init__(self, cluster: Cluster, folder: Path, registry: str) -> None:
        told = {
            "KAFKA__BOOTSTRAP": cluster.bootstrap,
            "KAFKA__PREFIX": cluster.prefix,
            "KAFKA__GROUP_PROTOCOL": cluster.group_protocol,
            "REGISTRY": str(folder / "models"),
            "DATA_DIR": str(folder / "data"),
            "SCHEMA_REGISTRY__URL": registry,
        }
        self._environ = {**os.environ, **{f"DRIFTLINE_{name}": value for name, value in told.items()}}
        self._log = folder / "worker.log"
        self.crashes = 0

    def _start(self) -> psutil.Popen:
        with self._log.open("a") as log:
            command = [sys.executable, "-m", "driftline", "worker", "--port", str(free_port())]
            return psutil.Popen(command, env=self._environ, stdout=log, stderr=log)

    def __enter__(self) -> "_Worker":
        self._process = self._start()
        return self

    def look(self) -> None:
        """Start it again if it has ended."""
        if self._process.poll() is not None:
            self.crashes += 1
            print(f"the worker ended: {self._log.read_text()[-1_500:]}", file=sys.stderr)
            self._process = self._start()

    def resident_mb(self) -> float:
        """Its own memory, MB: without the pages of libraries, of which it touches more and more."""
        memory = self._process.memory_info()
        return float((memory.rss - memory.shared) / 1e6)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def _registry() -> Iterator[str]:
    """A schema registry with the schemas of the messages; its address."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = int(self.path.rsplit("/", 1)[1])
            known = number in AVRO
            told = {"schema": json.dumps(AVRO[number])} if known else {"error_code": 40403, "message": "not found"}
            body = json.dumps(told).encode()
            self.send_response(200 if known else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
