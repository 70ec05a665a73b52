"""Evidently's report of a window against its reference, written by a process of its own.

Evidently needs seconds and hundreds of megabytes to be imported, and rows on both sides: a `drift.Reference`
keeps none. This module is that process: ``python -m drift.reports.evidently_html CURRENT REFERENCE OUT``.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

#: Rows of either side: its statistics need no more, and its page would not open.
ROWS_MAX = 50_000
_SECONDS_MAX = 600


class ReportError(RuntimeError):
    """Evidently could not write its report; the text holds its last words."""


def write(current: pa.Table, reference: pa.Table, out: Path) -> Path:
    """Write the report as one HTML file.

    Parameters
    ----------
    current, reference
        Rows with the same columns; of more than `ROWS_MAX`, as many are taken, evenly.

    Raises
    ------
    ReportError
        Evidently is not installed, or failed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="driftline-report-") as folder:
        files = [Path(folder) / name for name in ("current.parquet", "reference.parquet")]
        for file, table in zip(files, (current, reference), strict=True):
            pq.write_table(_thinned(table), file)
        said = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", __name__, *map(str, files), str(out)],
            env={**os.environ, "DO_NOT_TRACK": "1"},
            check=False,
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
        )
    if said.returncode:
        last = (said.stderr.strip().splitlines() or ["no word"])[-1]
        raise ReportError(f"Evidently: {last}; is it installed (driftline[report])?")
    return out


def _thinned(table: pa.Table) -> pa.Table:
    if table.num_rows <= ROWS_MAX:
        return table
    return table.take(pa.array(np.linspace(0, table.num_rows - 1, ROWS_MAX).astype(np.int64)))


def _run(current: str, reference: str, out: str) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    tables = [pq.read_table(file) for file in (current, reference)]
    numbers = [field.name for field in tables[1].schema if pt.is_floating(field.type) or pt.is_integer(field.type)]
    levels = [name for name in tables[1].column_names if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=levels)
    now, then = (Dataset.from_pandas(table.to_pandas(), data_definition=definition) for table in tables)
    Report([DataDriftPreset(), DataSummaryPreset()]).run(now, then).save_html(out)


if __name__ == "__main__":
    _run(*sys.argv[1:])
