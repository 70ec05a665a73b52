"""Sends requests at a steady rate; each id is the moment of its sending, so whoever reads an answer knows its age.

``python -m benchmarks.log.contestants.paced BOOTSTRAP TOPIC PARTITIONS ROWS_PER_S SECONDS SEED``
"""

import sys
import time

import confluent_kafka as ck

from benchmarks.log.traffic import bodies


def main(bootstrap: str, topic: str, partitions: int, rows_per_s: float, seconds: float, seed: int) -> None:
    """Send what is due, a millisecond at a time."""
    producer = ck.Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "acks": "all"})  # librdkafka's own defaults
    kept = bodies(seed)
    sent, began = 0, time.monotonic_ns()
    while (now := time.monotonic_ns()) - began < seconds * 1e9:
        due = int((now - began) * rows_per_s / 1e9)
        for n in range(sent, due):
            value = b'{"id":"%d-%d",%s' % (time.monotonic_ns(), n, kept[n % len(kept)])
            producer.produce(topic, value, partition=n % partitions)
        sent = due
        producer.poll(0.001)
    assert producer.flush(10) == 0, "not all requests were delivered"
    print(sent, flush=True)


if __name__ == "__main__":
    boot, to, count, rate, length, number = sys.argv[1:]
    main(boot, to, int(count), float(rate), float(length), int(number))
