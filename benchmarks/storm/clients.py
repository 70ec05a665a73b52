"""The clients: a plain producer of requests and labels, and a plain reader of what a topic holds."""

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka as ck

_BROKEN_EVERY, _LABEL_EVERY = 50, 5
_FLUSH_S = 120.0
_READ_S_MAX = 60.0


class Producer:
    """Sends at a steady rate, in a thread of its own, and remembers what the broker acknowledged.

    One request in fifty is broken, which is a dead letter; one in five has a label.

    Attributes
    ----------
    requests
        Ids of acknowledged requests, each with whether it is well formed.
    labels
        Ids whose label was acknowledged, each with its label.
    """

    def __init__(self, bootstrap: str, rate: int, seed: int) -> None:
        self.requests: dict[str, bool] = {}
        self.labels: dict[str, str] = {}
        self._rate, self._rng = rate, random.Random(f"requests {seed}")
        # delivery.timeout.ms: longer than any fault, so that what is sent is acknowledged in the end.
        self._producer = ck.Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "delivery.timeout.ms": 300_000,
                "linger.ms": 5,
                "log_level": 0,  # each refused connection would be a line
            }
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Stop, wait for the last acknowledgements; how many messages never got one."""
        self._stopping.set()
        self._thread.join()
        return int(self._producer.flush(_FLUSH_S))

    def _run(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._stopping.wait(0.02):
            for number in range(sent, int((time.monotonic() - began) * self._rate)):
                self._send(number)
                sent = number + 1
            self._producer.poll(0)

    def _send(self, number: int) -> None:
        id_, good = f"storm-{number}", number % _BROKEN_EVERY != 0
        x = round(self._rng.gauss(0, 1), 4)
        features = {"x": x if good else "far", "city": self._rng.choice(["Rome", "Oslo"])}
        self._produce("requests", {"id": id_, "ts": _now_ms(), "features": features}, lambda: self._sent(id_, good))
        if number % _LABEL_EVERY == 0 and good:
            label = str(int(x > 0.2))
            self._produce("feedback", {"id": id_, "label": int(label)}, lambda: self._labelled(id_, label))

    def _sent(self, id_: str, good: bool) -> None:
        self.requests[id_] = good

    def _labelled(self, id_: str, label: str) -> None:
        self.labels[id_] = label

    def _produce(self, topic: str, value: dict[str, Any], on_acknowledged: Any) -> None:
        def delivered(error: ck.KafkaError | None, _message: ck.Message) -> None:
            if error is None:
                on_acknowledged()

        while True:
            try:
                self._producer.produce(topic, json.dumps(value).encode(), on_delivery=delivered)
                return
            except BufferError:  # the broker is away and the queue is full
                self._producer.poll(0.1)


def read_all(bootstrap: str, topic: str) -> Iterator[ck.Message]:
    """Every committed message of a topic, from the first to the end that it has now.

    Raises
    ------
    TimeoutError
        The end is not reached in a minute.
    """
    reader = ck.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "storm-checks",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        partitions = reader.list_topics(topic, timeout=30).topics[topic].partitions
        reader.assign([ck.TopicPartition(topic, partition, 0) for partition in partitions])
        open_, until = set(partitions), time.monotonic() + _READ_S_MAX
        while open_:
            if time.monotonic() > until:
                raise TimeoutError(f"{topic}: partitions {sorted(open_)} not read to their end in {_READ_S_MAX:.0f} s")
            for message in reader.consume(5_000, 0.5):
                if message.error() is None:
                    if message.key() != SWEPT:
                        yield message
                elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                    open_.discard(message.partition())
    finally:
        reader.close()


#: An empty record with this key ends what a killed broker had committed in part (docs/PROTOCOL.md, 2).
SWEPT = b"driftline-swept"


def _now_ms() -> int:
    return int(time.time() * 1000)
