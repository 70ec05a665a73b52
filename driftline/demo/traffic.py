"""The demo's traffic: three years of persons as requests, their labels late, and a plain client that reads back."""

import threading
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from driftline.demo.broken import WAYS
from driftline.demo.model import DATA, LABEL, NOT_FEATURES
from streams.clock import now_ms, ticks_ms
from streams.cluster import Cluster
from streams.records import MINUTE_MS

ROWS_PER_MINUTE = 500
_SLICE_S = 0.02


class Sender(threading.Thread):
    """Sends every person as a request at a steady rate; event times end now.

    Parameters
    ----------
    rows_per_s
        Requests a second.
    rows
        How many persons of the file; None for all.
    broken_every
        One request in so many is broken, in the ways of `broken` by turns; 0 breaks none.
    """

    def __init__(self, cluster: Cluster, rows_per_s: int, rows: int | None = None, broken_every: int = 0) -> None:
        super().__init__(name="demo-sender", daemon=True)
        stream = pd.read_parquet(DATA / "employment_stream.parquet")[:rows]
        labels = pd.read_parquet(DATA / "employment_labels.parquet").set_index("id")[LABEL]
        self.total = len(stream)
        self.broken = Counter(WAYS[n % len(WAYS)][0] for n in range(self.total // broken_every if broken_every else 0))
        self.sent = 0
        self.sent_ms = np.zeros(self.total)
        self.labels = labels.loc[stream["id"]].to_numpy()
        self._cluster = cluster
        self._rows_per_s = rows_per_s
        self._broken_every = broken_every
        self._stop_asked = threading.Event()
        features = stream.drop(columns=[c for c in (*NOT_FEATURES, LABEL) if c in stream.columns])
        self._columns = list(features.columns)
        self._rows = list(zip(*(_plain(features[c]) for c in self._columns), strict=True))
        step = MINUTE_MS / ROWS_PER_MINUTE
        first = now_ms() - step * self.total
        self.event_ms = (first + step * np.arange(self.total)).astype(np.int64)

    @property
    def good(self) -> int:
        """Requests that must be answered."""
        return self.total - self.broken.total()

    def run(self) -> None:
        """Send."""
        producer = self._cluster.producer()
        topic = self._cluster.topic("requests")
        began = ticks_ms()
        while self.sent < self.total and not self._stop_asked.is_set():
            due = min(self.total, int((ticks_ms() - began) / 1000 * self._rows_per_s))
            for i in range(self.sent, due):
                request = {
                    "id": str(i),
                    "ts": int(self.event_ms[i]),
                    "features": dict(zip(self._columns, self._rows[i], strict=True)),
                }
                producer.produce(topic, self._encoded(i, request), partition=i % 4)
            self.sent_ms[self.sent : due] = now_ms()
            self.sent = due
            producer.poll(0)
            self._stop_asked.wait(_SLICE_S)
        producer.flush(30)

    def _encoded(self, i: int, request: dict[str, Any]) -> bytes:
        every = self._broken_every
        if every and i % every == every - 1:
            return WAYS[i // every % len(WAYS)][1](request)
        return msgspec.json.encode(request)

    def stop(self) -> None:
        """Stop early."""
        self._stop_asked.set()


def _plain(column: pd.Series) -> list[object]:
    values = column.astype(object)
    return [None if pd.isna(v) else v for v in values]


class Reader(threading.Thread):
    """A plain client of `predictions`: what it has read, how often, how late."""

    def __init__(self, cluster: Cluster, sender: Sender) -> None:
        super().__init__(name="demo-reader", daemon=True)
        self.ids: Counter[str] = Counter()
        self.recent_ms: list[float] = []
        self._cluster = cluster
        self._sender = sender
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Read until told to stop."""
        consumer = self._cluster.consumer("demo-reader", **{"auto.offset.reset": "earliest"})
        consumer.subscribe([self._cluster.topic("predictions")])
        decode = msgspec.json.Decoder(_Id).decode
        while not self._stop_asked.is_set():
            for message in consumer.consume(2_000, 0.05):
                if message.error() is None:
                    id_ = decode(message.value()).id
                    self.ids[id_] += 1
                    self.recent_ms.append(now_ms() - self._sender.sent_ms[int(id_)])
        consumer.close()

    def p99_ms(self) -> float:
        """Request sent to prediction read, since the last call."""
        recent, self.recent_ms = self.recent_ms, []
        return float(np.percentile(recent, 99)) if recent else 0.0

    def stop(self) -> None:
        """Stop."""
        self._stop_asked.set()


class _Id(msgspec.Struct):
    id: str
