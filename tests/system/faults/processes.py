"""Processes that are started, listened to, and killed by their own pid."""

import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from streams.kafka import ranges
from streams.kafka.cluster import Cluster

HERE = Path(__file__).parent


class Worker:
    """One of the scripts beside this file, running."""

    def __init__(self, script: str, *args: Any) -> None:
        self.said: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        command = [sys.executable, str(HERE / script), *map(str, args)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def wait_for(self, word: str, deadline_s: float = 30.0) -> None:
        """Wait until it says a line with this word."""
        until = time.monotonic() + deadline_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {word!r} in {deadline_s} s:\n{''.join(self.said)}") from None
            self.said.append(line)
            if word in line:
                return

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait; an end in disorder is told."""
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.kill()


def values(cluster: Cluster, topic: str) -> list[bytes | None]:
    """Every committed value of a topic."""
    return [value for block in ranges.read_all(cluster, topic) for value in block.values]


def wait_for_values(cluster: Cluster, topic: str, wanted: set[bytes], deadline_s: float) -> list[bytes | None]:
    """Read a topic again and again until it holds all that is wanted."""
    until = time.monotonic() + deadline_s
    while not wanted <= set(found := values(cluster, topic)):
        assert time.monotonic() < until, f"{len(wanted - set(found))} of {len(wanted)} lost on {topic}"
        time.sleep(0.1)
    return found
