"""The patient: the whole system as one process tree around a small model, and the traffic that it is under."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np
import psutil
import pyarrow as pa

from drift.judge.stage import Judge
from drift.store import Store
from driftline.broker.ports import free_port
from driftline.commands.model_profile import load, profile
from driftline.roles import parts
from driftline.settings import Settings
from driftline.supervisor.processes import Child
from driftline.supervisor.system import System
from inference import Registry, init_package
from streams.clock import now_ms
from streams.formats.envelope import REQUEST_BYTES_MAX
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.records import MINUTE_MS, Route

MODEL = "small"
#: A feature value that the model cannot bear.
UNBEARABLE = 666.0

_CODE = """
import time
from pathlib import Path

import numpy as np


class Small:
    def load(self, device):
        self.sick = Path({sick!r})
        self.slow = Path({slow!r})

    def predict(self, batch):
        while self.slow.exists():
            time.sleep(0.05)
        if self.sick.exists():
            raise RuntimeError("the model is sick")
        if (batch["x"] == {unbearable}).any():
            raise ValueError("x is unbearable")
        return 1 / (1 + np.exp(-batch["x"]))
"""

_HOUR_MS = 3_600_000
_STEP_MS = 400  # of event time between two requests


class Patient:
    """The system, running.

    Parameters
    ----------
    folder
        For everything it writes.
    rng
        Decides what the requests are.
    """

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.sick = folder / "sick"
        self.slow = folder / "slow"
        self.clock = folder / "clock"
        self.sent = 0
        self.labels: dict[str, tuple[str, int]] = {}  # the label that holds in the end, and since when, by id
        self._rng = rng
        self._ts = now_ms() - 200 * _HOUR_MS
        self._label_ts = now_ms()
        self._repeatable: list[bytes] = []
        self._good: list[str] = []
        self._closing = ExitStack()
        self.settings = Settings(
            data_dir=folder / "system",
            registry=str(folder / "models"),
            # Ports of its own: what is killed must find its port free when it comes back.
            kafka={"port": free_port()},
            clickhouse={"port": free_port()},
            page={"port": free_port()},
            roles={"workers": 2, "port": free_port()},
            monitor={"idle_after_ms": 1_500, "snapshot_interval_ms_max": 1_000, "join_every_ms": 200},
            sink={"wait_ms_max": 200},
            watch={"window_rows_min": 100, "lateness_ms_max": MINUTE_MS},
        )
        self.settings.data_dir.mkdir()
        self._package(folder / "package")
        self.system = System(self.settings, any_port=True)

    def _package(self, folder: Path) -> None:
        draw = np.random.default_rng(7)
        x = draw.normal(size=1_000)
        city = draw.choice(["Rome", "Oslo"], 1_000)
        label = draw.random(1_000) < 1 / (1 + np.exp(-x))
        table = pa.table({"x": x, "city": city, "y": label.astype(int)})
        folder.mkdir()
        (folder / "model.py").write_text(_CODE.format(sick=str(self.sick), slow=str(self.slow), unbearable=UNBEARABLE))
        init_package(folder, table, name=MODEL, artefact="model.py:Small", label="y", task="binary")
        (folder / "reference.arrow").write_bytes(profile(load(folder), table, label="y").to_bytes())
        Registry(self.settings.registry).add(folder)

    def start(self) -> None:
        """Bring everything up."""
        self.system.start_log()
        watch = parts.watch(self.settings)
        announce(self.cluster, lambda book: Route(model=MODEL, epoch=0, ts=now_ms(), champion="v1", watch=watch))
        self.system.start_roles()
        self.system.wait_ready()
        self._producer = self._closing.enter_context(closing(self.cluster.producer()))

    @property
    def cluster(self) -> Cluster:
        """The log."""
        return parts.cluster(self.system.resolved())

    def store(self) -> Store:
        """The store."""
        return Store.connect(parts.store_settings(self.system.resolved()))

    def judge(self) -> Judge:
        """A judge who has heard nothing yet."""
        return Judge(parts.catalogue(self.settings))

    def child(self, name: str) -> Child:
        """A role's process."""
        return self.system.tree.children[name]

    def java(self) -> psutil.Process:
        """The broker itself, which its role has started."""
        pid = self.child("broker").pid
        assert pid is not None
        return next(p for p in psutil.Process(pid).children(recursive=True) if "java" in p.name())

    def look(self) -> None:
        """Start again at once what has ended."""
        for child in self.system.tree.children.values():
            if child.pid is None:
                child.restarts += 1
                child.start()

    def tails(self) -> str:
        """The end of every role's log."""
        return "\n".join(f"--- {name}\n{child.tail(12)}" for name, child in self.system.tree.children.items())

    def stacks(self) -> str:
        """Where every thread of the roles stands now."""
        alive = {n: c for n, c in self.system.tree.children.items() if c.pid and n in self.system.status_urls}
        seen = {name: child.log_path.stat().st_size for name, child in alive.items()}
        for child in alive.values():
            os.kill(child.pid or 0, signal.SIGUSR1)
        told: dict[str, str] = {}
        end = time.monotonic() + 5
        while time.monotonic() < end and not (told and all("THREAD MainThread" in text for text in told.values())):
            time.sleep(0.05)
            told = {name: child.log_path.read_bytes()[seen[name] :].decode() for name, child in alive.items()}
        return "\n".join(f"--- {name}\n{text}" for name, text in told.items())

    # The traffic.

    def send(self, n: int) -> None:
        """Send requests: most good, some broken, some repeated, some late, a few as large as may be.

        Some are labelled at once, mostly before their predictions are there, and again, and otherwise.
        """
        topic = self.cluster.topic("requests")
        for _ in range(n):
            partition = self._rng.randrange(4)
            if self._rng.random() < 0.004:
                self._send_largest(topic, partition)
            else:
                self._producer.produce(topic, self._request(), partition=partition)
            self.sent += 1
            if self._rng.random() < 0.06 and self._good:
                self.label(self._rng.choice(self._good))
        self._producer.poll(0)

    def _request(self) -> bytes:
        draw = self._rng.random()
        self._ts += _STEP_MS
        if draw < 0.01:
            return b"x" * self._rng.choice([10, 70_000, 900_000, 999_000])
        if draw < 0.03 and self._repeatable:
            return self._rng.choice(self._repeatable)  # redelivered
        late_ms = self._rng.choice([0] * 20 + [MINUTE_MS, 3 * MINUTE_MS, 10 * MINUTE_MS])
        x = UNBEARABLE if draw < 0.04 else self._rng.gauss(0, 1)
        features = {"x": x if draw > 0.05 else "x", "city": self._rng.choice(["Rome", "Oslo", "Bari"])}
        said = msgspec.json.encode({"id": f"r{self.sent}", "ts": self._ts - late_ms, "features": features})
        self._repeatable = [*self._repeatable[-50:], said]
        if draw > 0.05:
            self._good = [*self._good[-300:], f"r{self.sent}"]
        if draw > 0.99:  # at what is read, and a byte over it
            return said.ljust(REQUEST_BYTES_MAX + (draw > 0.995))
        return said

    def _send_largest(self, topic: str, partition: int) -> None:
        """Send a request as large as Kafka takes: its answer, which carries its trace, is larger."""
        self._ts += _STEP_MS
        said = msgspec.json.encode({"id": f"r{self.sent}", "ts": self._ts, "features": {"x": 0.0, "city": "Rome"}})
        for size in range(1_000_000 - len(said), 0, -8):
            with suppress(ck.KafkaException):
                self._producer.produce(topic, said, partition=partition, headers=[("tracestate", b"t" * size)])
                return

    def label(self, id_: str) -> None:
        """Send a label: a new one, a correction, one that comes again, or one that is older than what holds."""
        self._label_ts += 2
        label, ts = str(self._rng.randrange(2)), self._label_ts
        held = self.labels.get(id_)
        if held and self._rng.random() < 0.6:
            label, ts = self._rng.choice([held, (label, held[1] - 1)])
        if held is None or ts > held[1]:
            self.labels[id_] = (label, ts)
        value = msgspec.json.encode({"id": id_, "label": int(label), "ts": ts})
        self._producer.produce(self.cluster.topic("feedback"), value, key=id_.encode())

    def flush(self, deadline_s: float = 60.0) -> None:
        """Wait until the log has all that was sent."""
        end = time.monotonic() + deadline_s
        while self._producer.flush(0.2):
            self.look()
            assert time.monotonic() < end, self.tails()

    def stop(self) -> None:
        """Take everything down, and first what would go on asking for a broker that is gone."""
        self._closing.close()
        self.system.stop()

    def wait(self, seconds: float, meanwhile: Callable[[], Any]) -> None:
        """Let a fault last."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            meanwhile()
            time.sleep(min(0.05, max(0.0, end - time.monotonic())))
