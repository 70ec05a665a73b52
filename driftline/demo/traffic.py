"""The demo's traffic: three years of persons as requests, in file order, and most of their labels, late."""

import threading
from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from driftline.demo.broken import WAYS
from driftline.demo.model import DATA, LABEL, NOT_FEATURES
from streams.clock import now_ms, ticks_ms
from streams.kafka.cluster import Cluster
from streams.wire.records import MINUTE_MS, Label

ROWS_PER_MINUTE = 500
#: Share of persons whose label ever comes.
LABELLED = 0.8
#: How late labels are, in rows sent meanwhile: at least, on average beyond that, at most.
LATE_ROWS_MIN, LATE_ROWS_MEAN, LATE_ROWS_MAX = 7_500, 5_000, 20_000

_SLICE_S = 0.02
#: So many requests may always be without an answer, however low the rate.
_UNANSWERED_MIN = 100


class People:
    """What is sent, and when.

    Parameters
    ----------
    rows
        How many persons of the file; None for all.
    broken_every
        One request in so many is broken, in the ways of `broken` by turns; 0 breaks none.

    Attributes
    ----------
    event_ms
        Event time of each request, int64 [persons]; the last one is now.
    labelled
        Persons whose label comes, in the order in which it does; ``due`` is the row before which it is sent.
    """

    def __init__(self, rows: int | None, broken_every: int) -> None:
        stream = pd.read_parquet(DATA / "employment_stream.parquet")[:rows]
        truth = pd.read_parquet(DATA / "employment_labels.parquet").set_index("id")[LABEL]
        self.total = len(stream)
        self._every = broken_every
        self.broken = Counter(WAYS[n % len(WAYS)][0] for n in range(self.total // broken_every if broken_every else 0))
        features = stream.drop(columns=[c for c in (*NOT_FEATURES, LABEL) if c in stream.columns])
        self._names = list(features.columns)
        self._rows = list(zip(*(_plain(features[name]) for name in self._names), strict=True))
        self._labels = truth.loc[stream["id"]].to_numpy()
        step = MINUTE_MS / ROWS_PER_MINUTE
        self._first_ms = now_ms() - step * self.total
        self.event_ms = (self._first_ms + step * np.arange(self.total)).astype(np.int64)
        rng = np.random.default_rng(0)
        comes = rng.random(self.total) < LABELLED
        late = np.minimum(LATE_ROWS_MIN + rng.exponential(LATE_ROWS_MEAN, self.total), LATE_ROWS_MAX)
        due = np.arange(self.total) + late
        who = np.array([i for i in range(self.total) if comes[i] and not self._breaks(i)], np.int64)
        self.labelled = who[np.argsort(due[who], kind="stable")]
        self.due = due[self.labelled]

    @property
    def good(self) -> int:
        """Requests that must be answered."""
        return self.good_before(self.total)

    def good_before(self, row: int) -> int:
        """Requests before a row that must be answered."""
        return row - (row // self._every if self._every else 0)

    def request(self, i: int) -> bytes:
        """One person's request, broken where it is its turn."""
        features = dict(zip(self._names, self._rows[i], strict=True))
        request = {"id": str(i), "ts": int(self.event_ms[i]), "features": features}
        if self._breaks(i):
            return WAYS[i // self._every % len(WAYS)][1](request)
        return msgspec.json.encode(request)

    def label(self, i: int) -> bytes:
        """One person's label."""
        return msgspec.json.encode(Label(id=str(i), label=int(self._labels[i])))

    def row_at(self, ms: int) -> int:
        """The first row at or after an event time."""
        return int(np.searchsorted(self.event_ms, ms))

    def _breaks(self, i: int) -> bool:
        return bool(self._every) and i % self._every == self._every - 1


class Sender(threading.Thread):
    """Sends requests at no more than a rate, and labels when they are due.

    It waits while a second's worth of requests has no prediction, or of labels no outcome. Event time advances by a
    minute every `ROWS_PER_MINUTE` rows: at 5,000 rows a second, 600 times faster than the clock. If requests were sent
    faster than the machine answers, labels would be joined after their window stopped waiting for them, and no loss
    would be judged.

    Parameters
    ----------
    partitions
        Of `requests`; persons go to them by turns.
    sent_ms
        Receives the send time of each request, Unix ms, float64 [persons].
    answered, joined
        How many requests have their prediction by now, and how many labels have met theirs.
    """

    def __init__(
        self,
        cluster: Cluster,
        people: People,
        rows_per_s: int,
        partitions: int,
        sent_ms: NDArray[np.float64],
        *,
        answered: Callable[[], int],
        joined: Callable[[], int],
    ) -> None:
        super().__init__(name="demo-sender", daemon=True)
        self.sent = 0
        self.labels_sent = 0
        self._sent_ms = sent_ms
        self._answered = answered
        self._joined = joined
        self._people = people
        self._partitions = partitions
        self._requests, self._feedback = cluster.topic("requests"), cluster.topic("feedback")
        self._producer = cluster.producer()
        self._rows_per_s = rows_per_s
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Send."""
        people = self._people
        row, before_ms = 0.0, ticks_ms()
        while self.sent < people.total or self.labels_sent < len(people.labelled):
            if self._stop_asked.wait(_SLICE_S):
                break
            at_ms = ticks_ms()
            passed_ms, before_ms = at_ms - before_ms, at_ms
            room = max(0, max(self._rows_per_s, _UNANSWERED_MIN) - self._unanswered())
            row += min(passed_ms / 1000 * self._rows_per_s, room)
            self._send_requests(min(people.total, int(row)))
            self._send_labels(int(np.searchsorted(people.due, row)))
            self._producer.poll(0)
        self._producer.flush(30)

    def _unanswered(self) -> int:
        """Requests without an answer, or labels that have not met their prediction: whichever are more."""
        return max(self._people.good_before(self.sent) - self._answered(), self.labels_sent - self._joined())

    def _send_requests(self, until: int) -> None:
        for i in range(self.sent, until):
            self._sent_ms[i] = now_ms()
            self._producer.produce(self._requests, self._people.request(i), partition=i % self._partitions)
        self.sent = until

    def _send_labels(self, until: int) -> None:
        for i in self._people.labelled[self.labels_sent : until]:
            self._producer.produce(self._feedback, self._people.label(i), key=str(i))
        self.labels_sent = until

    def stop(self) -> None:
        """Stop early."""
        self._stop_asked.set()


def _plain(column: pd.Series) -> list[object]:
    values = column.astype(object)
    return [None if pd.isna(v) else v for v in values]
