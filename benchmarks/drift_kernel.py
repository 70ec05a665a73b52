"""How fast rows are counted: our kernel against uniform bins, SciPy's KS test and Evidently's default report.

    python benchmarks/drift_kernel.py [--rows 200000] [--columns 20] [--seed 1] [--without-evidently]

One run, the same data, CPU time of one process each, best of the repeats beside their median. Goals: at most 4 times
uniform bins; at least 100 times faster than SciPy's KS test and 500 times than Evidently's report. Evidently runs in
a process of its own; its import is not counted.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import scipy
from numba import njit
from scipy.stats import ks_2samp

from drift import Reference
from drift.cells.kernel import FIXED_ONE, count_numbers

REFERENCE_ROWS = 20_000
BINS = 42
WINDOW = 500

EVIDENTLY = """
import json, sys, time
import numpy as np, pandas as pd, evidently
from evidently import Report
from evidently.presets import DataDriftPreset
was, now = (pd.read_parquet(path) for path in sys.argv[1:3])
report = Report([DataDriftPreset()])
report.run(now.head(500), was.head(500))
began = time.process_time()
report.run(now, was)
print(json.dumps([evidently.__version__, time.process_time() - began]))
"""


@njit(nogil=True)
def uniform(values, low, per_unit, counts):
    """Count into equal bins: the least that any binned statistic needs."""
    last = len(counts) - 1
    for row in range(len(values)):
        counts[min(max(int((values[row] - low) * per_unit), 0), last)] += 1


@njit(nogil=True)
def read(values):
    """Read every value and hardly do anything: as fast as memory goes."""
    total = np.float32(0.0)
    for row in range(len(values)):
        total = max(total, values[row])
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-evidently", action="store_true")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    shape = (asked.columns, asked.rows)
    current = np.concatenate(
        [rng.standard_normal((shape[0] // 2, shape[1])), rng.lognormal(size=(-(-shape[0] // 2), shape[1]))]
    )
    current = np.ascontiguousarray(current, np.float32)
    was = np.concatenate(
        [rng.standard_normal((shape[0] // 2, REFERENCE_ROWS)), rng.lognormal(size=(-(-shape[0] // 2), REFERENCE_ROWS))]
    )
    was = np.ascontiguousarray(was, np.float32)
    names = [f"x{k}" for k in range(asked.columns)]
    reference = Reference.fit(pd.DataFrame(was.T, columns=names))
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}, "
        f"scipy {scipy.__version__}"
    )
    print(f"{asked.rows:,} rows x {asked.columns} columns, half normal, half lognormal, float32; seed {asked.seed}")
    values = current.size
    # A tenth of the rows, cut as a stream is: SciPy sorts the reference for every window again.
    windows = np.split(current[:, : asked.rows // 10 // WINDOW * WINDOW], asked.rows // 10 // WINDOW, axis=1)
    windows = [np.ascontiguousarray(window) for window in windows]
    found = {
        "reading memory": timed(lambda: [read(column) for column in current], asked.repeats, values),
        "uniform bins": timed(lambda: bins(current), asked.repeats, values),
        "our cells, moments, extremes": timed(lambda: ours(reference, current), asked.repeats, values),
        "SciPy ks_2samp": timed(lambda: tests(was, current), 1, values),
        f"the same, windows of {WINDOW} rows": timed(lambda: tests(was, *windows), 1, values // 10),
        f"ours, windows of {WINDOW} rows": timed(
            lambda: [ours(reference, w) for w in windows], asked.repeats, values // 10
        ),
    }
    if not asked.without_evidently:
        version, seconds = evidently(was, current, names)
        found[f"Evidently {version}"] = [seconds / values * 1e9]
    own = min(found["our cells, moments, extremes"])
    print(f"{'ns a value':<30} {'best':>10} {'median':>10} {'times ours':>12}")
    for name, times in found.items():
        print(f"{name:<30} {min(times):>10.2f} {statistics.median(times):>10.2f} {min(times) / own:>12.3g}")


def timed(work: Callable[[], object], repeats: int, values: int) -> list[float]:
    """Nanoseconds of CPU a value, once a repeat, after one to warm up."""
    if repeats > 1:
        work()
    took = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) / values * 1e9)
    return took


def bins(current: np.ndarray) -> None:
    """Count every column into uniform bins between -4 and 4."""
    for column in current:
        uniform(column, -4.0, BINS / 8.0, np.zeros(BINS, np.int64))


def tests(was: np.ndarray, *windows: np.ndarray) -> None:
    """Test every column of every window against the reference, as SciPy does."""
    for window in windows:
        for one, two in zip(was, window, strict=True):
            ks_2samp(one, two, method="asymp")


def ours(reference: Reference, current: np.ndarray) -> None:
    """Count every column into its frozen cells."""
    ends = np.array([current.shape[1]])
    cells = np.zeros((1, reference.offsets[-1]), np.int64)
    for place, column in enumerate(current):
        moments, extremes = np.zeros((1, 2), np.int64), np.full((1, 2), np.nan, np.float32)
        fixed, first = FIXED_ONE / reference.scale[place], reference.offsets[place]
        grid, centre = reference.grids[place], reference.centre[place]
        count_numbers(column, ends, grid, centre, fixed, first, cells, moments, extremes)


def evidently(was: np.ndarray, current: np.ndarray, names: list[str]) -> tuple[str, float]:
    """Version, and CPU seconds of the default drift report, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("was.parquet", "now.parquet")]
        for path, side in zip(paths, (was, current), strict=True):
            pd.DataFrame(side.T, columns=names).to_parquet(path)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", EVIDENTLY, *paths], capture_output=True, text=True, check=True
        )
    version, seconds = json.loads(done.stdout.splitlines()[-1])
    return version, seconds


if __name__ == "__main__":
    main()
