"""A rebalance storm: twelve workers come, go in order, are killed, and are stopped past their session and woken."""

import random
import signal
import sys
import time

import pytest
from processes import Worker, wait_for_values

from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster

SLOTS = 12
AT_ONCE_MAX = 5
STORM_S = 15.0
PARTITIONS = 6


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_twelve_workers_coming_and_going_answer_each_request_once(kafka, topic_prefix, protocol, request) -> None:
    seed = request.config.getoption("--faults-seed")
    rng = random.Random(f"{seed}/{protocol}")
    sys.stdout.write(f"seed {seed}\n")
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=PARTITIONS))
    producer = cluster.producer()
    running: dict[int, Worker] = {}
    asleep: dict[int, float] = {}
    sent: set[bytes] = set()

    def send() -> None:
        for _ in range(20):
            value = b"%d" % len(sent)
            producer.produce(cluster.topic("requests"), value, partition=len(sent) % PARTITIONS)
            sent.add(value)
        producer.poll(0)

    def act() -> None:
        free = [slot for slot in range(SLOTS) if slot not in running]
        awake = [slot for slot in running if slot not in asleep]
        if free and (len(running) < 2 or (len(running) < AT_ONCE_MAX and rng.random() < 0.5)):
            slot = rng.choice(free)
            running[slot] = Worker("small_worker.py", cluster.bootstrap, cluster.prefix, slot, protocol)
        elif len(awake) > 1:
            slot = rng.choice(awake)
            how = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
            running[slot].process.send_signal(how)
            if how == signal.SIGSTOP:
                asleep[slot] = time.monotonic() + rng.uniform(1, 5)

    def look() -> None:
        for slot, wakes in list(asleep.items()):
            if time.monotonic() > wakes:
                running[slot].process.send_signal(signal.SIGCONT)
                del asleep[slot]
        for slot, worker in list(running.items()):
            if worker.process.poll() is not None:  # fenced, or as it was told
                del running[slot]

    try:
        ends = time.monotonic() + STORM_S
        next_act = 0.0
        while time.monotonic() < ends:
            send()
            look()
            if time.monotonic() > next_act:
                act()
                next_act = time.monotonic() + rng.uniform(0.3, 1.5)
            time.sleep(0.05)
        while asleep:
            look()
        if not running:
            act()
        assert producer.flush(30) == 0
        found = wait_for_values(cluster, "predictions", sent, 60)
        assert len(found) == len(sent), f"{len(found) - len(set(found))} answered twice"
    finally:
        for worker in running.values():
            worker.kill()
