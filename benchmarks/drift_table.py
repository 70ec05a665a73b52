"""A wide table against a reference, from Parquet, in bounded memory: fit one, then count the table over its cells.

    python benchmarks/drift_table.py [--rows 1000000] [--columns 1000] [--seed 1] [--folder /tmp]

Prints seconds of wall clock and CPU and the peak of resident memory, and what ten times the rows would take: both steps
are linear but for the sort (a column is sorted once).
"""

import argparse
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from drift import Reference
from drift.cells.sums import sum_rows

ROWS_PER_GROUP = 100_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="where the table is written (4 bytes a value)")
    asked = parser.parse_args()
    print(f"python {platform.python_version()}, numpy {np.__version__}, pyarrow {pa.__version__}; seed {asked.seed}")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "table.parquet"
        write(path, asked.rows, asked.columns, asked.seed)
        print(
            f"{asked.rows:,} rows x {asked.columns:,} columns of float32, {path.stat().st_size / 1e9:.2f} GB of Parquet"
        )
        print(f"before: {peak_mb():,.0f} MB resident at the peak")
        reference = timed("fit", lambda: Reference.fit(path))
        counts = timed("count", lambda: counted(reference, path))
        assert (counts == reference.counts).all(), "the table that a reference is of has its counts"


def counted(reference: Reference, path: Path) -> np.ndarray:
    """Count the rows of a file a column at a time, int64 [all cells]."""
    counts = []
    for n, name in enumerate(reference.sources):
        alone = reference.alone(n)
        counts.append(sum_rows(alone, alone.align(pq.read_table(path, columns=[name]))).cells)
    return np.concatenate(counts)


def write(path: Path, rows: int, columns: int, seed: int) -> None:
    """Write row groups of normal, lognormal and heavy-tailed columns."""
    rng = np.random.default_rng(seed)
    schema = pa.schema([(f"x{k}", pa.float32()) for k in range(columns)])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for first in range(0, rows, ROWS_PER_GROUP):
            size = min(ROWS_PER_GROUP, rows - first)
            normal = (rng.standard_normal(size, dtype=np.float32) for _ in range(columns))
            drawn = [x if k % 3 == 0 else np.exp(x) if k % 3 == 1 else x**3 for k, x in enumerate(normal)]
            writer.write_table(pa.table(drawn, schema=schema))


def timed(name: str, work: Callable[[], Any]) -> Any:
    """Do it once, and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{name:<6} {wall:7.1f} s, CPU {cpu:7.1f} s, peak {peak_mb():,.0f} MB; ten times the rows: {wall / 6:.1f} min"
    )
    return found


def peak_mb() -> float:
    """Peak of resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
