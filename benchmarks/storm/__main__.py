"""The promise, for everybody to see: `driftline up` under kill -9 and SIGSTOP, and plain clients that count.

    python -m benchmarks.storm [--seconds 60] [--seed 1] [--seeds 20] [--rate 200] [--json]

Requests and labels are sent at a steady rate while processes of the tree are killed, stopped and woken as the seed
draws. Then everything is waited for, and read back with plain clients: each request that the broker acknowledged is
one prediction or one dead letter, each prediction one row of ClickHouse, counted once, each label holds once.
``--seeds 20`` runs the seeds from ``--seed`` on, one after the other. Exit code 1 where anything is lost or doubled.
"""

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import clickhouse_driver.errors
import confluent_kafka as ck

from benchmarks.storm.checks import Outcomes, Rows, read_log, wrong_in_log, wrong_in_store
from benchmarks.storm.clients import Producer
from benchmarks.storm.deployment import MODEL, Deployment, until
from benchmarks.storm.faults import Storm
from benchmarks.storm.store_rows import read_store

_SETTLED_S_MAX = 240.0
_AWAY = (OSError, KeyError, EOFError, RuntimeError, ck.KafkaException, clickhouse_driver.errors.Error)


class Result(NamedTuple):
    """One storm."""

    seed: int
    faults: int
    requests: int
    labels: int
    unacknowledged: int
    settled_s: float
    wrong: dict[str, int]

    def line(self) -> str:
        """One row of the table."""
        faulty = ", ".join(f"{what} {n}" for what, n in self.wrong.items() if n) or "0 lost, 0 doubled"
        return (
            f"{self.seed:>5} {self.faults:>7} {self.requests:>9,} {self.labels:>7,} {self.unacknowledged:>15} "
            f"{self.settled_s:>10.1f} s   {faulty}"
        )


def storm(seconds: float, seed: int, rate: int) -> Result:
    """One storm over a deployment of its own.

    Raises
    ------
    TimeoutError
        The deployment does not come back: its logs follow.
    """
    with TemporaryDirectory(prefix="driftline-storm-") as folder:
        deployment = Deployment(Path(folder))
        deployment.make_model()
        deployment.start()
        try:
            deployment.wait_ready()
            deployment.command("model", "route", MODEL, "v1")
            producer = Producer(deployment.bootstrap, rate, seed)
            faults = Storm(deployment, seed, _say)
            faults.run(seconds)
            began = time.monotonic()
            deployment.wait_ready()
            unacknowledged = producer.stop()
            log, rows = _settled(deployment, producer)
            wrong = _wrong(producer, log, rows)
            counts = len(faults.done), len(producer.requests), len(producer.labels)
            return Result(seed, *counts, unacknowledged, time.monotonic() - began, wrong)
        finally:
            deployment.stop()


def _settled(deployment: Deployment, producer: Producer) -> tuple[Outcomes, Rows]:
    """Wait until nothing is lost any more and nobody has work, then read again: a second answer would be there now."""

    def read() -> tuple[Outcomes, Rows]:
        address = deployment.status()["clickhouse"]
        return read_log(deployment.bootstrap), read_store(address, deployment.store_folder)

    def settled() -> bool:
        try:
            wrong = _wrong(producer, *read())
            return not any(wrong.values()) and deployment.idle()
        except _AWAY as error:
            _say(f"read again: {str(error).splitlines()[0]}")
            return False

    try:
        until(settled, _SETTLED_S_MAX, deployment.log_end, deployment.look)
    except TimeoutError as error:
        _say(str(error))
    return read()


def _wrong(producer: Producer, log: Outcomes, rows: Rows) -> dict[str, int]:
    return wrong_in_log(producer.requests, producer.labels, log) | wrong_in_store(log, rows)


def main() -> int:
    """Storm, and print a row for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--json", action="store_true", help="one JSON line a storm instead of the table")
    asked = parser.parse_args()
    if not asked.json:
        libraries = ", ".join(f"{name} {version(name)}" for name in ("confluent-kafka", "clickhouse-driver"))
        print(f"python {platform.python_version()}, {libraries}; {asked.seconds:g} s, {asked.rate} requests/s")
        print(" seed  faults  requests  labels  unacknowledged      settled")
    kept = True
    for seed in range(asked.seed, asked.seed + asked.seeds):
        result = storm(asked.seconds, seed, asked.rate)
        print(json.dumps(result._asdict()) if asked.json else result.line(), flush=True)
        kept = kept and not any(result.wrong.values())
    return 0 if kept else 1


def _say(text: str) -> None:
    print(f"    {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
