"""What the log costs: against a bare loop, against stock Faust, against peers; exactly-once, latency, memory.

    python -m benchmarks.log [--only ROW ...] [--rows 400000] [--seconds 4] [--runs 3] [--soak-rows 3000000] [--seed 1]

Every comparison is made within one run, in turns, over the same topic of one embedded broker. Prints the table, and
keeps it with every single run in benchmarks/results/log.json; rows that were not asked for stay as they were.
"""

import argparse
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from benchmarks.log.against_peers import peers
from benchmarks.log.arena import Arena, Result
from benchmarks.log.formats import formats
from benchmarks.log.latency import latency
from benchmarks.log.rows import Sizes, hand_off, memory, path, workers
from driftline.broker.jars import KAFKA_VERSION

ROWS = {
    "hand-off": hand_off,
    "path": path,
    "latency": latency,
    "workers": workers,
    "memory": memory,
    "peers": peers,
    "formats": formats,
}
KEPT = Path(__file__).parent.parent / "results" / "log.json"
_PACKAGES = ("confluent-kafka", "faust-streaming", "msgspec", "numpy", "pyarrow", "torch")


class Measured(msgspec.Struct, frozen=True):
    """What one row of the benchmark gave, when, and from how much."""

    at: str
    sizes: dict[str, float]
    results: list[Result]


class Kept(msgspec.Struct):
    """The file of results. Absolute figures belong to this machine; ratios travel."""

    machine: dict[str, str | int]
    versions: dict[str, str]
    rows: dict[str, Measured]


def main() -> None:
    """Measure, print, keep."""
    asked = _arguments()
    sizes = Sizes(asked.rows, asked.seconds, asked.runs, asked.soak_rows)
    kept = Kept(_machine(), _versions(), {})
    if KEPT.exists():
        kept.rows = msgspec.json.decode(KEPT.read_bytes(), type=Kept).rows
    with Arena(asked.seed) as arena:
        for name in asked.only:
            print(f"{name} ...", file=sys.stderr)
            at = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime())
            results = ROWS[name](arena, sizes)
            kept.rows[name] = Measured(at, {**sizes._asdict(), "seed": asked.seed}, results)
            _keep(kept)
    show(kept)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--rows", type=int, default=400_000, help="requests that wait for each contestant")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a contestant is measured")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contestant, in turns")
    parser.add_argument("--soak-rows", type=int, default=3_000_000, help="rows of the memory's run")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _machine() -> dict[str, str | int]:
    memory = round(psutil.virtual_memory().total / 1e9)
    return {"cores": os.cpu_count() or 0, "memory_gb": memory, "system": platform.system(), "arch": platform.machine()}


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "kafka": KAFKA_VERSION, **found}


def _keep(kept: Kept) -> None:
    KEPT.parent.mkdir(exist_ok=True)
    ordered = msgspec.structs.replace(kept, rows={name: kept.rows[name] for name in ROWS if name in kept.rows})
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(ordered)) + b"\n")


def show(kept: Kept) -> None:
    """Print the table."""
    print(", ".join(f"{name} {number}" for name, number in {**kept.machine, **kept.versions}.items()))
    print(f"{'measure':<52}{'median':>9}{'lowest':>9}{'highest':>9}  {'goal':<9}{'load':>5}")
    for name in (name for name in ROWS if name in kept.rows):
        for r in kept.rows[name].results:
            verdict = {True: "met", False: "MISSED", None: ""}[r.met]
            figures = "".join(f"{figure:>9.2f}" for figure in (r.value, r.low, r.high))
            print(f"{r.name:<52}{figures}  {r.goal:<9}{r.load_before:>5.1f} {verdict:<7}{r.note}")


if __name__ == "__main__":
    main()
