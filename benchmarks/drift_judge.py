"""What the judge costs a window: CPU time of processing one closed window's counts, reports and evidence included.

    python benchmarks/drift_judge.py [--features 20 1000] [--windows 300] [--seed 1]

Goal: 5 ms for 20 numeric features, 100 ms for 1,000; memory grows with the logarithm of the windows.
"""

import argparse
import platform
import statistics
import time

import msgspec
import numpy as np
import pandas as pd
import scipy

from drift import Reference
from drift.cells.sums import sum_rows
from drift.counting.minutes import pack
from drift.judge.stage import Judge
from streams.wire.block import Block
from streams.wire.records import MINUTE_MS, PartialCounts

ROWS = 200
GOALS_MS = {20: 5.0, 1000: 100.0}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, nargs="+", default=[20, 100, 1000])
    parser.add_argument("--windows", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}; seed {asked.seed}; ")
    print(f"{ROWS} rows a window, {asked.windows} windows after 20 to warm up; CPU ms a window")
    print(f"{'features':>9} {'median':>8} {'5 %':>8} {'95 %':>8} {'goal':>6} {'snapshot kB at 1/4, 1/2, all':>32}")
    for features in asked.features:
        windows = asked.windows if features <= 100 else min(asked.windows, 60)
        took, sizes = measure(features, windows, asked.seed)
        low, *_, high = statistics.quantiles(took, n=20)
        kept = ", ".join(f"{size / 1e3:,.0f}" for size in sizes)
        goal = GOALS_MS.get(features, float("nan"))
        print(f"{features:>9} {statistics.median(took):>8.2f} {low:>8.2f} {high:>8.2f} {goal:>6.0f} {kept:>32}")


def measure(features: int, windows: int, seed: int) -> tuple[list[float], list[int]]:
    """CPU milliseconds of each window, and the snapshot's size along the way."""
    rng = np.random.default_rng(seed)
    names = [f"x{k}" for k in range(features)]
    reference = Reference.fit(pd.DataFrame(rng.standard_normal((10_000, features)), columns=names))
    judge = Judge(lambda model, version: reference)
    took, sizes = [], []
    marks = (windows // 4, windows // 2, windows - 1)
    for number in range(windows + 22):
        table = pd.DataFrame(rng.standard_normal((ROWS, features)).astype("f4"), columns=names)
        sums = sum_rows(reference, reference.align(table))
        value = msgspec.msgpack.encode(
            PartialCounts(
                model="m",
                version="v1",
                reference=reference.id,
                topic="requests",
                partition=0,
                first=number,
                last=number,
                partitions=1,
                watermark_ms=(number + 1) * MINUTE_MS,
                minutes=[pack(number * MINUTE_MS, "", False, sums)],
            )
        )
        block = Block.of("counts", 0, [value], first=number)
        began = time.process_time()
        effects = judge.process(block)
        if number >= 22:
            assert len(effects.publish) >= 1, number
            took.append((time.process_time() - began) * 1e3)
        if number - 22 in marks:
            sizes.append(len(judge.snapshot()))
    return took, sizes


if __name__ == "__main__":
    main()
