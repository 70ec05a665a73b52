"""A million messages of every format, whole, maimed and made up: each must have exactly one outcome, and memory stay.

    python -m benchmarks.fuzz [--rows 1000000] [--seed 1] [--only alone | kafka]

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

from benchmarks.fuzz.accounts import Found
from benchmarks.fuzz.through_kafka import through_kafka

KEPT = Path(__file__).parent.parent / "results" / "fuzz.json"
FLAT_MAX = 1.05


class Crashed(RuntimeError):
    """The process that decodes has ended; it said where before."""


class Run(msgspec.Struct, frozen=True):
    """One of the two, when, and over what."""

    at: str
    rows: int
    seed: int
    found: Found


def alone(rows: int, seed: int) -> Found:
    """Decode and score, and nothing else."""
    command = [sys.executable, "-m", "benchmarks.fuzz.in_process", str(rows), str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise Crashed(f"decoding ended with {done.returncode}; the messages stand above")
    return msgspec.json.decode(done.stdout, type=Found)


RUNS = {"alone": alone, "kafka": through_kafka}


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    asked = parser.parse_args()
    kept = msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Run]) if KEPT.exists() else {}
    for name in asked.only:
        print(f"{name}: {asked.rows:,} messages of seed {asked.seed} ...", file=sys.stderr)
        at = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
        kept[name] = Run(at, asked.rows, asked.seed, RUNS[name](asked.rows, asked.seed))
        KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    return max([show(name, run) for name, run in kept.items()])


def show(name: str, run: Run) -> int:
    """Print what was found; 1 where anything is wrong."""
    found, ratio = run.found, run.found.late_mb / run.found.early_mb
    print(
        f"{name:<6} {run.rows:,} messages: {found.predictions:,} predictions, {found.dead_letters:,} dead letters, "
        f"{len(found.wrong)} wrong, {found.crashes} crashes; memory {found.early_mb:,.0f} MB after a tenth, "
        f"{found.late_mb:,.0f} MB at the end, {ratio:.2f}x"
    )
    for told in found.wrong[:10]:
        print(f"  {told}")
    # Alone, the process also makes the messages and keeps the accounts: the worker's memory is what is judged.
    return int(bool(found.wrong or found.crashes) or (name == "kafka" and ratio > FLAT_MAX))


if __name__ == "__main__":
    sys.exit(main())
