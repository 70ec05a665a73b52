"""The demo's sender: never more without an answer than a second's worth."""

import time
from collections import Counter
from typing import Any

import numpy as np

from driftline.demo.traffic import People, Sender

DEADLINE_S = 20.0


class Log:
    """A cluster and a producer that count what is produced."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def topic(self, name: str) -> str:
        return name

    def producer(self) -> "Log":
        return self

    def produce(self, topic: str, _value: bytes, **_where: Any) -> None:
        self.sent[topic] += 1

    def poll(self, _seconds: float) -> int:
        return 0

    flush = poll


def test_it_waits_while_a_second_s_worth_has_no_answer() -> None:
    log, people, answered = Log(), People(1_500, 0), [0]
    sent_ms = np.zeros(people.total)
    cluster: Any = log
    sender = Sender(cluster, people, 500, 2, sent_ms, answered=lambda: answered[0], joined=lambda: 0)
    sender.start()
    try:
        for answered[0] in (0, 40, 900):
            end = time.monotonic() + DEADLINE_S
            while log.sent["requests"] < answered[0] + 500:
                assert time.monotonic() < end, log.sent
                time.sleep(0.005)
            assert log.sent["requests"] == answered[0] + 500
        assert sent_ms[:1_400].all()
    finally:
        sender.stop()
        sender.join(DEADLINE_S)
