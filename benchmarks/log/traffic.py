"""Requests, the same for every contestant: JSON of 12 floats, about 200 bytes."""

from collections.abc import Iterator

import confluent_kafka as ck
import numpy as np

FEATURES = tuple(f"x{k}" for k in range(12))
_DISTINCT = 20_000


def bodies(seed: int) -> list[bytes]:
    """Requests without their beginning, which is the id."""
    values = np.random.default_rng(seed).standard_normal((_DISTINCT, len(FEATURES)))
    fields = ",".join(f'"{name}":%.6f' for name in FEATURES)
    return [(f"{fields}}}" % tuple(row)).encode() for row in values.tolist()]


def requests(rows: int, seed: int) -> Iterator[bytes]:
    """So many requests; their ids count up."""
    kept = bodies(seed)
    for n in range(rows):
        yield b'{"id":"r%d",%s' % (n, kept[n % _DISTINCT])


def fill(producer: ck.Producer, topic: str, partitions: int, rows: int, seed: int) -> int:
    """Send requests round robin; returns their bytes."""
    size = 0
    for n, value in enumerate(requests(rows, seed)):
        size += len(value)
        while True:
            try:
                producer.produce(topic, value, partition=n % partitions)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0, "not all requests were delivered"
    return size
