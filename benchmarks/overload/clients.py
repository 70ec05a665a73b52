"""The clients: one that sends faster than is answered, within a bound, and a plain reader of what comes back."""

import threading
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np

from benchmarks.overload.subject import PARTITIONS
from streams.kafka.cluster import Cluster

#: One request in so many gets its label, at once, so that the join gets more than it remembers.
LABEL_EVERY = 20
_DISTINCT = 5_000


class _Said(msgspec.Struct):
    id: str


class Clients:
    """Sender and reader, each in a thread of its own; requests are numbered, and so are answers.

    Parameters
    ----------
    cluster
        Where.
    rows_max
        Requests altogether, at the most.
    ahead_max
        Requests that may wait for their answers.
    """

    def __init__(self, cluster: Cluster, rows_max: int, ahead_max: int) -> None:
        self.sent = 0
        self.labels = 0
        self.answered = 0
        self.answers = np.zeros(rows_max, np.uint8)
        self.letters = 0
        self._cluster = cluster
        self._ahead_max = ahead_max
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._read)]
        for thread in self._threads:
            thread.start()

    def stop_sending(self) -> None:
        """No more requests."""
        self._stopping.set()
        self._threads[0].join()

    def stop(self) -> None:
        """Let go."""
        self.stop_sending()
        self._done.set()
        self._threads[1].join()

    def wrong(self) -> dict[str, int]:
        """Requests without an answer, with more than one, and dead letters."""
        own = self.answers[: self.sent]
        return {"lost": int((own == 0).sum()), "doubled": int((own > 1).sum()), "dead_letters": self.letters}

    def _send(self) -> None:
        producer = self._cluster.producer()
        requests, feedback = self._cluster.topic("requests"), self._cluster.topic("feedback")
        draw = np.random.default_rng(1).normal(size=_DISTINCT)
        bodies = [b'"x":%.5f,"city":"%s"}' % (x, b"Rome" if x > 0 else b"Oslo") for x in draw]
        while not self._stopping.is_set() and self.sent < len(self.answers):
            if self.sent - self.answered >= self._ahead_max:
                self._stopping.wait(0.01)
                continue
            for n in range(self.sent, min(self.sent + 500, len(self.answers))):
                id_ = b"r%d" % n
                self._produce(producer, requests, b'{"id":"%s",%s' % (id_, bodies[n % _DISTINCT]), n % PARTITIONS)
                if n % LABEL_EVERY == 0:
                    self._produce(producer, feedback, b'{"id":"%s","label":%d}' % (id_, draw[n % _DISTINCT] > 0.3), -1)
                    self.labels += 1
                self.sent = n + 1
            producer.poll(0)
        assert producer.flush(60) == 0, "not all requests were delivered"

    def _produce(self, producer: ck.Producer, topic: str, value: bytes, partition: int) -> None:
        while True:
            try:
                producer.produce(topic, value, partition=partition)
                return
            except BufferError:
                producer.poll(0.1)

    def _read(self) -> None:
        reader, decode = self._cluster.reader(), msgspec.json.Decoder(_Said).decode
        places: list[Any] = [ck.TopicPartition(self._cluster.topic("predictions"), p, 0) for p in range(PARTITIONS)]
        reader.assign([*places, ck.TopicPartition(self._cluster.topic("dead-letters"), 0, 0)])
        while not self._done.is_set():
            for message in reader.consume(5_000, 0.1):
                if message.error():
                    continue
                if message.topic().endswith("predictions"):
                    self.answers[int(decode(message.value()).id[1:])] += 1
                    self.answered += 1
                else:
                    self.letters += 1
        reader.close()
