"""How soon after a window has closed its verdict can be read, on the whole system as `driftline up` runs it.

    python -m benchmarks.verdict [--windows 400] [--per-second 1] [--rows 240] [--features 20] [--seed 1]

Requests are sent in order of event time, which runs faster than the clock, over all partitions in turn. A window has
closed when the broker has acknowledged the last request that its verdict waits for: the one by which the last of the
partitions passes the window's end and the minute allowed for stragglers. From there it is timed until a
`read_committed` reader has the window's report, and until a query finds it in the store. Goal: p99 of 2 s for the
report. The first windows warm up and are left out. Kept in benchmarks/results/verdict.json.
"""

import argparse
import os
import platform
import statistics
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.overload.subject import PARTITIONS, Subject
from drift.store import Store
from driftline.broker.record import prepare
from driftline.commands.model_profile import load, profile
from driftline.roles import parts as compose
from inference import Registry, init_package
from streams.clock import now_ms
from streams.kafka.cluster import Cluster
from streams.wire.records import MINUTE_MS, Report, Watch

KEPT = Path(__file__).parent / "results" / "verdict.json"
GOAL_MS = 2_000.0
WARM_WINDOWS = 30
MODEL = "wide"
_QUARTERS = 4
_LOOK_S = 0.02
_WAIT_S_MAX = 60.0

_CODE = """
import numpy as np


class Wide:
    def load(self, device):
        pass

    def predict(self, batch):
        return 1 / (1 + np.exp(-batch["x0"]))
"""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file of results: milliseconds from a window's close to its report on the topic and in the store, in order."""

    at: str
    versions: dict[str, str]
    seed: int
    features: int
    rows_a_window: int
    windows_a_second: float
    load_before: float
    load_after: float
    report_ms: list[float]
    store_ms: list[float]


class WideSubject(Subject):
    """The system around a model of many numeric columns."""

    model = MODEL
    features = 20

    def _package(self, folder: Path) -> None:
        rng = np.random.default_rng(7)
        columns: dict[str, Any] = {f"x{k}": rng.normal(size=10_000) for k in range(self.features)}
        table = pa.table(columns | {"y": (columns["x0"] > 0.3).astype(int)})
        folder.mkdir()
        (folder / "model.py").write_text(_CODE)
        init_package(folder, table, name=MODEL, artefact="model.py:Wide", label="y", task="binary")
        (folder / "reference.arrow").write_bytes(profile(load(folder), table, label="y").to_bytes())
        Registry(self.settings.registry).add(folder)


class Sender:
    """Sends requests in order of event time, evenly spread, and keeps when each was acknowledged."""

    def __init__(self, cluster: Cluster, asked: argparse.Namespace) -> None:
        self.windows = asked.windows + WARM_WINDOWS
        # The last of the windows needs its stragglers' minute, and one request more a partition.
        self.rows = (self.windows + 1) * asked.rows + PARTITIONS
        self.times = np.arange(self.rows) * MINUTE_MS // asked.rows
        self.first_ms = (now_ms() - self.windows * MINUTE_MS) // MINUTE_MS * MINUTE_MS
        self.acknowledged_s = np.full(self.rows, np.nan)
        self._every_s = 1 / (asked.rows * asked.per_second)
        self._values = np.random.default_rng(asked.seed).normal(size=(self.rows, asked.features)).round(4)
        self._producer, self._topic = cluster.producer(), cluster.topic("requests")

    def send(self) -> None:
        """Send all of them at their pace."""
        began = time.perf_counter()
        for n in range(self.rows):
            while (ahead_s := began + n * self._every_s - time.perf_counter()) > 0:
                self._producer.poll(min(ahead_s, 0.002))
            body = {f"x{k}": value for k, value in enumerate(self._values[n].tolist())}
            value = msgspec.json.encode({"ts": self.first_ms + int(self.times[n]), "features": body})
            self._producer.produce(self._topic, value, partition=n % PARTITIONS, on_delivery=self._told(n))
        assert self._producer.flush(30) == 0, "not all requests were delivered"
        del self._producer  # else it looks for the broker when that has gone

    def _told(self, n: int) -> Any:
        def told(error: Any, message: Any) -> None:
            assert error is None, (error, message)
            self.acknowledged_s[n] = time.perf_counter()

        return told

    def closed_s(self, watch: Watch) -> dict[int, float]:
        """When each window closed, by its start."""
        found = {}
        for window in range(WARM_WINDOWS, self.windows):
            first = int(np.searchsorted(self.times, (window + 1) * MINUTE_MS + watch.lateness_ms_max))
            found[self.first_ms + window * MINUTE_MS] = float(self.acknowledged_s[first : first + PARTITIONS].max())
        return found


class Readers:
    """Two threads that keep when a window's report was first there: on the topic, and in the store."""

    def __init__(self, subject: Subject) -> None:
        self.on_topic: dict[int, float] = {}
        self.in_store: dict[int, float] = {}
        self._cluster = subject.cluster
        self._store = compose.store_settings(subject.system.resolved())
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._read, self._ask)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, windows: int) -> None:
        """Wait until so many reports are there, on both sides."""
        until = time.monotonic() + _WAIT_S_MAX
        while min(len(self.on_topic), len(self.in_store)) < windows:
            if time.monotonic() > until:
                raise TimeoutError(f"{len(self.on_topic)} reports, {len(self.in_store)} in the store, of {windows}")
            time.sleep(_LOOK_S)

    def stop(self) -> None:
        """Let go."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        reader = self._cluster.reader()
        reader.assign([ck.TopicPartition(self._cluster.topic("reports"), 0, 0)])
        while not self._stopping.is_set():
            for message in reader.consume(100, _LOOK_S):
                if not message.error():
                    report = msgspec.json.decode(message.value(), type=Report)
                    self.on_topic.setdefault(report.window_start, time.perf_counter())
        reader.close()

    def _ask(self) -> None:
        store = Store.connect(self._store)
        start = "toUnixTimestamp64Milli(window_start)"
        sql = (
            f"SELECT {start} FROM report_rows WHERE role = 'window' AND statistic = 'rows' AND {start} > {{last:Int64}}"
        )
        while not self._stopping.is_set():
            for (found,) in store.rows(sql, {"last": max(self.in_store, default=0)}):
                self.in_store.setdefault(int(found), time.perf_counter())
            self._stopping.wait(_LOOK_S)
        store.close()


def main() -> int:
    """Run, print, keep; 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--per-second", type=float, default=1.0, help="windows that close in a second")
    parser.add_argument("--rows", type=int, default=240, help="requests of a window")
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    prepare()
    at, before = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()), os.getloadavg()[0]
    WideSubject.features = asked.features
    with TemporaryDirectory(prefix="driftline-verdict-") as folder, WideSubject(Path(folder)) as subject:
        readers, sender = Readers(subject), Sender(subject.cluster, asked)
        try:
            sender.send()
            readers.wait_for(sender.windows)
        finally:
            readers.stop()
        closed = sender.closed_s(compose.watch(subject.settings))
    kept = Kept(
        at=at,
        versions={"python": platform.python_version()}
        | {name: version(name) for name in ("confluent-kafka", "faust-streaming", "chdb", "numpy")},
        seed=asked.seed,
        features=asked.features,
        rows_a_window=asked.rows,
        windows_a_second=asked.per_second,
        load_before=round(before, 1),
        load_after=round(os.getloadavg()[0], 1),
        report_ms=_ages(readers.on_topic, closed),
        store_ms=_ages(readers.in_store, closed),
    )
    KEPT.write_bytes(msgspec.json.encode(kept) + b"\n")
    return show(kept)


def _ages(there: dict[int, float], closed: dict[int, float]) -> list[float]:
    return [round(1_000 * (there[start] - closed_s), 1) for start, closed_s in closed.items()]


def show(kept: Kept) -> int:
    """Print what was found."""
    print(", ".join(f"{name} {number}" for name, number in kept.versions.items()) + f"; seed {kept.seed}")
    print(
        f"{len(kept.report_ms)} windows, {kept.windows_a_second:g} a second, of {kept.rows_a_window} requests with "
        f"{kept.features} columns; load {kept.load_before:g} before, {kept.load_after:g} after"
    )
    for name, ages in (("report", kept.report_ms), ("in the store", kept.store_ms)):
        quarter = max(2, len(ages) // _QUARTERS)
        parts = [_percentile(ages[n : n + quarter], 99) for n in range(0, quarter * _QUARTERS, quarter)]
        print(
            f"{name:<13} p50 {statistics.median(ages):,.0f} ms, p99 {_percentile(ages, 99):,.0f} ms "
            f"({min(parts):,.0f} to {max(parts):,.0f} over the quarters), most {max(ages):,.0f} ms"
        )
    return 0 if _percentile(kept.report_ms, 99) <= GOAL_MS else 1


def _percentile(ages: list[float], at: int) -> float:
    return float(np.percentile(ages, at))


if __name__ == "__main__":
    sys.exit(main())
