"""Evidently in a process of its own, which is started before its rows are at hand.

To import Evidently takes 3 s and 400 MB. The process does that while whoever asks for a report fetches the rows and, as
the case may be, scores them: on two cores it costs no time, and our process stays small.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: Rows of either side: the distances move by less than a hundredth with more, and the page grows.
ROWS_MAX = 20_000
_SECONDS_MAX = 600


class ReportError(RuntimeError):
    """Evidently could not write its report; the text holds its last words."""


class EvidentlyProcess:
    """A process that has imported Evidently, or is about to; it writes one report."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="driftline-report-")
        self._errors = (Path(self._folder.name) / "errors.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "drift.analysis.report.evidently_html"],
            env={**os.environ, "DO_NOT_TRACK": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # Where all went well it has ended.
        self._process.communicate()
        self._errors.close()
        self._folder.cleanup()

    def write(self, current: pa.Table, reference: pa.Table, out: Path) -> Path:
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
        files = [Path(self._folder.name) / name for name in ("current.parquet", "reference.parquet")]
        for file, table in zip(files, (current, reference), strict=True):
            pq.write_table(thinned(table), file)
        try:
            self._process.communicate("\n".join(map(str, (*files, out.absolute()))), timeout=_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise ReportError(f"Evidently: not done after {_SECONDS_MAX} s; take fewer columns or rows") from None
        if self._process.returncode:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["no word"])[-1]
            hint = "; install driftline[report]" if "No module named" in last else ""
            raise ReportError(f"Evidently: {last}{hint}")
        return out


def write(current: pa.Table, reference: pa.Table, out: Path) -> Path:
    """See `EvidentlyProcess.write`; for rows that are at hand, with nothing to do while Evidently is imported."""
    with EvidentlyProcess() as evidently:
        return evidently.write(current, reference, out)


def thinned(table: pa.Table) -> pa.Table:
    """At most `ROWS_MAX` rows of a table, evenly over it.

    >>> thinned(pa.table({"x": range(30_000)})).column("x").to_pylist()[:4]
    [0, 1, 3, 4]
    """
    if table.num_rows <= ROWS_MAX:
        return table
    return table.take(pa.array(np.linspace(0, table.num_rows - 1, ROWS_MAX).astype(np.int64)))
