"""Where contestants meet: one embedded broker, the same requests, and one measure for all.

A contestant is a process that reads ``PREFIXrequests`` from the beginning and writes ``PREFIXpredictions``. It is
measured from outside: how far the predictions have come that a `read_committed` reader can see, and how much CPU time
its process has used by then. So start-up, imports and the last batch do not count, and nobody has to be changed.
"""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import psutil
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from benchmarks.log.traffic import fill
from driftline.broker import EmbeddedBroker
from driftline.broker.record import prepare
from streams.kafka import admin
from streams.kafka.admin import Layout
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.records import Route

PARTITIONS = 4
_LOOK_EVERY_S = 0.02
_START_S_MAX = 60.0
_WARM_S = 1.0
_END_S_MAX = 8.0


class Pace(NamedTuple):
    """Rows that became readable within so many seconds, and the CPU time of their contestant meanwhile."""

    rows: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Rows a second of wall clock."""
        return self.rows / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time a row."""
        return self.cpu_s / self.rows * 1e6


class Seen(NamedTuple):
    """Where a contestant stood at a moment."""

    rows: int
    at_s: float
    cpu_s: float
    resident_mb: float


class TooSlow(RuntimeError):
    """A contestant gave no answer in time, or ended; the text has the end of what it said."""


def cluster_at(bootstrap: str, prefix: str) -> Cluster:
    """The cluster as the settings of an embedded broker make it."""
    return Cluster(bootstrap=bootstrap, prefix=prefix, group_protocol="consumer", transaction_timeout_ms=2_000)


class Arena:
    """A broker with requests in it, in a temporary folder.

    Parameters
    ----------
    seed
        Of requests and models.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._temporary = tempfile.TemporaryDirectory(prefix="driftline-bench-")
        self.folder = Path(self._temporary.name)
        self._runs = itertools.count()

    def __enter__(self) -> Self:
        prepare()
        self.broker = EmbeddedBroker(self.folder / "kafka").__enter__()
        subprocess.run(
            [sys.executable, "-m", "benchmarks.log.packages", str(self.folder / "models"), str(self.seed)],
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: Any) -> None:
        self.broker.stop()
        self._temporary.cleanup()

    def filled(self, name: str, rows: int) -> str:
        """Make a deployment's topics, its route and its requests; returns its prefix."""
        cluster = cluster_at(self.broker.bootstrap, f"{name}.")
        admin.create(cluster, Layout(requests=PARTITIONS))
        announce(cluster, lambda book: Route(model="mlp", epoch=0, ts=0, champion="v1"))
        producer = cluster.producer(**{"compression.type": "none", "linger.ms": 50})  # stock Faust reads no lz4
        fill(producer, cluster.topic("requests"), PARTITIONS, rows, self.seed)
        return cluster.prefix

    def registry(self, kind: str) -> str:
        """The registry with the model, ``torch`` or ``plain``."""
        return str(self.folder / "models" / kind)

    def begin(self, prefix: str, *commands: Sequence[str]) -> "Contest":
        """Start a contestant of one or more processes, each ``[python, script or -m, ..., more]``; see `command`."""
        return Contest(cluster_at(self.broker.bootstrap, prefix), self.folder, commands)

    def command(self, program: Sequence[str], prefix: str, *more: str, run: str | None = None) -> list[str]:
        """A contestant's command line."""
        return [*program, self.broker.bootstrap, prefix, run or self.run(), *more]

    def run(self) -> str:
        """A name that no other run has."""
        return f"run{next(self._runs)}"


class Contest:
    """A contestant at work: a context that ends its processes."""

    def __init__(self, cluster: Cluster, folder: Path, commands: Sequence[Sequence[str]]) -> None:
        self._admin = cluster.admin(log_level=2)  # the broker ends before it does, which is no news
        self._places = [TopicPartition(cluster.topic("predictions"), p) for p in range(PARTITIONS)]
        self._said = folder / "said.txt"
        self._before = self._readable()
        here = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self._said.open("w") as said:
            self._processes = [
                psutil.Popen(command, stdout=said, stderr=said, env=here, start_new_session=True)
                for command in commands
            ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        for process in self._processes:
            with_children = [process, *process.children(recursive=True)] if process.is_running() else []
            if with_children:
                process.terminate()
            _, left = psutil.wait_procs(with_children, _END_S_MAX)
            for one in left:
                one.send_signal(signal.SIGKILL)
            process.wait(5)

    def seen(self) -> Seen:
        """Where it stands."""
        rows, cpu_s, resident = self._readable() - self._before, 0.0, 0
        for process in self._processes:
            if process.poll() is not None:
                raise TooSlow(f"it has ended: {self._said.read_text()[-2_000:]}")
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess, FileNotFoundError):  # torch asks the system something as it loads
                    times = one.cpu_times()
                    cpu_s += times.user + times.system
                    resident += one.memory_info().rss
        return Seen(rows, time.perf_counter(), cpu_s, resident / 1e6)

    def wait_for(self, rows: int, within_s: float) -> Seen:
        """Wait until so many predictions can be read.

        Raises
        ------
        TooSlow
            They cannot.
        """
        began = time.perf_counter()
        while (now := self.seen()).rows < rows:
            if now.at_s - began > within_s:
                raise TooSlow(f"{now.rows} of {rows} after {within_s:.0f} s: {self._said.read_text()[-2_000:]}")
            time.sleep(_LOOK_EVERY_S)
        return now

    def pace(self, seconds: float, rows: int) -> Pace:
        """Measure for so long, or until nine tenths of all rows are there, from a second after the first answer on.

        Both ends lie where predictions had just become readable: whole transactions are counted.
        """
        self.wait_for(1, _START_S_MAX)
        time.sleep(_WARM_S)
        last = start = self._next(self.seen())
        while last.at_s - start.at_s < seconds and last.rows < 0.9 * rows:
            last = self._next(last)
        if last.at_s - start.at_s < 1.0:
            raise TooSlow(f"{rows} rows are too few to measure: only {last.at_s - start.at_s:.2f} s")
        return Pace(last.rows - start.rows, last.at_s - start.at_s, last.cpu_s - start.cpu_s)

    def _next(self, then: Seen) -> Seen:
        return self.wait_for(then.rows + 1, _START_S_MAX)

    def _readable(self) -> int:
        futures = self._admin.list_offsets(
            {place: OffsetSpec.latest() for place in self._places}, isolation_level=IsolationLevel.READ_COMMITTED
        )
        return sum(future.result(10).offset for future in futures.values())


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table.

    ``value`` is the median over the pairs of runs, ``low`` and ``high`` their extremes; ``measured`` has every run.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    goal: str
    met: bool | None
    load_before: float
    measured: dict[str, list[dict[str, float]]]
    note: str = ""
