"""Evidently's report of a window against its reference, written by a process of its own.

Evidently needs seconds and hundreds of megabytes to be imported, and rows on both sides: a `drift.Reference`
keeps none. This module is that process: ``python -m drift.reports.evidently_html CURRENT REFERENCE OUT``.
"""

import os
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
        hint = "; install driftline[report]" if "No module named" in last else ""
        raise ReportError(f"Evidently: {last}{hint}")
    return out


def _thinned(table: pa.Table) -> pa.Table:
    if table.num_rows <= ROWS_MAX:
        return table
    return table.take(pa.array(np.linspace(0, table.num_rows - 1, ROWS_MAX).astype(np.int64)))


def without_values(current: pa.Table, reference: pa.Table) -> dict[str, str]:
    """Columns in which one side has no value, and which: Evidently compares none of them."""
    found = {}
    for name in reference.column_names:
        sides = [side for side, table in (("now", current), ("then", reference)) if not _values(table.column(name))]
        if sides:
            found[name] = " and ".join(sides)
    return found


def _values(column: pa.ChunkedArray) -> int:
    """Rows that have a value; infinities are none."""
    if pt.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return int(len(column) - column.null_count)


def _run(current: str, reference: str, out: str) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    tables = [pq.read_table(file) for file in (current, reference)]
    empty = without_values(*tables)
    tables = [table.drop_columns(list(empty)) for table in tables]
    if not tables[0].column_names:
        raise ReportError(f"no column has values on both sides: {_left_out(empty)}")
    numbers = [field.name for field in tables[1].schema if pt.is_floating(field.type) or pt.is_integer(field.type)]
    levels = [name for name in tables[1].column_names if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=levels)
    now, then = (Dataset.from_pandas(table.to_pandas(), data_definition=definition) for table in tables)
    Report([DataDriftPreset(), DataSummaryPreset()]).run(now, then).save_html(out)
    if empty:
        page = Path(out).read_text()
        note = f'<p style="font: 16px sans-serif; margin: 16px">{escape(_left_out(empty))}</p>'
        Path(out).write_text(_BODY.sub(lambda body: body[0] + note, page, count=1))


_BODY = re.compile(r"<body[^>]*>")


def _left_out(empty: dict[str, str]) -> str:
    return "Without any value, and so not compared: " + ", ".join(f"{name} ({side})" for name, side in empty.items())


if __name__ == "__main__":
    _run(*sys.argv[1:])
