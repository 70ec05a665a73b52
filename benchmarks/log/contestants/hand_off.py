"""Records from librdkafka to whoever wants them: through our consumer and a Faust agent, or in a bare loop.

``python -m benchmarks.log.contestants.hand_off BOOTSTRAP PREFIX RUN ours|bare ROWS`` prints wall seconds, CPU seconds
and records between a tenth and nine tenths of ROWS, as JSON.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.log.arena import cluster_at
from driftline.broker.ports import free_port
from streams.kafka.cluster import Cluster
from streams.routes import read_book
from streams.runtime.app import Role
from streams.runtime.stage import Step
from streams.wire.block import Block
from streams.wire.effects import Effects


class Tape:
    """Measures between two marks, then prints and ends the process."""

    def __init__(self, rows: int) -> None:
        self._from, self._to = rows // 10, rows * 9 // 10
        self._seen = 0
        self._began: tuple[int, float, float] | None = None

    def saw(self, rows: int) -> None:
        """So many more records have arrived."""
        self._seen += rows
        now = self._seen, time.perf_counter(), time.process_time()
        if self._began is None and self._seen >= self._from:
            self._began = now
        elif self._began is not None and self._seen >= self._to:
            rows_, wall_s, cpu_s = (end - start for end, start in zip(now, self._began, strict=True))
            print(json.dumps({"rows": rows_, "seconds": wall_s, "cpu_s": cpu_s}), flush=True)
            os._exit(0)


class Nothing(Step):
    """A step that only counts."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def process(self, blocks: Sequence[Block]) -> list[Effects]:
        self._tape.saw(sum(len(block) for block in blocks))
        return [Effects() for _ in blocks]


def ours(cluster: Cluster, run: str, tape: Tape) -> None:
    """Consumer, channel, Faust agent, step; nothing is committed."""
    with tempfile.TemporaryDirectory() as folder:
        role = Role(cluster, "worker", run, free_port(), folder=Path(folder))
        role.follow_models(read_book(cluster), lambda route: None)
        role.add_agent(f"hand-off-{run}", cluster, ["requests"], Nothing(tape), commit=lambda *_: lambda *_: None)
        role.run()


def bare(cluster: Cluster, run: str, tape: Tape) -> None:
    """The same consumer; every record's value and offset are taken in hand."""
    consumer = cluster.consumer(f"hand-off-{run}", **{"auto.offset.reset": "earliest"})
    consumer.subscribe([cluster.topic("requests")])
    while True:
        messages = consumer.consume(5_000, 0.05)
        assert len([(message.value(), message.offset()) for message in messages]) == len(messages)
        tape.saw(len(messages))


if __name__ == "__main__":
    bootstrap, prefix, name, kind, total = sys.argv[1:]
    (ours if kind == "ours" else bare)(cluster_at(bootstrap, prefix), name, Tape(int(total)))
