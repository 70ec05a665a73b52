"""A million messages of every format, whole, maimed and made up: each must have exactly one outcome, and memory stay.

    python -m benchmarks.fuzz [--rows 1000000] [--seed 1] [--kafka-rows ROWS]

First decoding and scoring alone, in a process of its own, because what ends a process must be seen; then the same
messages through a broker and a worker, read back by a plain reader. Keeps what it found in
benchmarks/results/fuzz.json; exit code 1 where anything is wrong.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.fuzz import in_process, through_kafka

KEPT = Path(__file__).parent.parent / "results" / "fuzz.json"
FLAT_MAX = 1.05


class Kept(msgspec.Struct, frozen=True):
    """The file of results."""

    at: str
    seed: int
    rows: int
    kafka_rows: int
    in_process: in_process.Found
    through_kafka: through_kafka.Found


def main() -> int:
    """Run both, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kafka-rows", type=int, help="as many as --rows, by default")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    at, kafka_rows = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()), asked.kafka_rows or asked.rows
    print(f"decoding and scoring {asked.rows:,} messages of seed {asked.seed} ...", file=sys.stderr)
    command = [sys.executable, "-m", "benchmarks.fuzz.in_process", str(asked.rows), str(asked.seed)]
    alone = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if alone.returncode:
        print(f"in process: ended with {alone.returncode}; the messages stand above")
        return 1
    first = msgspec.json.decode(alone.stdout, type=in_process.Found)
    print(f"{kafka_rows:,} of them through a broker and a worker ...", file=sys.stderr)
    second = through_kafka.through_kafka(kafka_rows, asked.seed)
    kept = Kept(at, asked.seed, asked.rows, kafka_rows, first, second)
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    return show(kept)


def show(kept: Kept) -> int:
    """Print what was found; 1 where anything is wrong."""
    print(f"{'':<16}{'messages':>10}{'predictions':>13}{'dead letters':>14}{'wrong':>7}{'memory':>28}")
    bad = kept.through_kafka.crashes
    for name, rows, found in (
        ("in process", kept.rows, kept.in_process),
        ("through Kafka", kept.kafka_rows, kept.through_kafka),
    ):
        ratio = found.late_mb / max(found.early_mb, 1.0)
        memory = f"{found.early_mb:,.0f} to {found.late_mb:,.0f} MB, {ratio:.2f}x"
        wrong = len(found.wrong)
        print(f"{name:<16}{rows:>10,}{found.predictions:>13,}{found.dead_letters:>14,}{wrong:>7}{memory:>28}")
        for told in found.wrong[:10]:
            print(f"  {told}")
        bad += wrong + (ratio > FLAT_MAX)
    print(f"the worker ended {kept.through_kafka.crashes} times")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
