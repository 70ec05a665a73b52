"""A backtest over files: what is read, run, and written down."""

import shlex
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from drift import backtest
from drift.analysis.backtest import Backtest
from drift.analysis.report import tables
from drift.cells import frames
from drift.cells.event_times import milliseconds
from drift.reference.reference import Reference
from driftline.commands import references
from driftline.commands.provenance import with_sha256
from streams.wire.records import Watch


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest that was run. ``stream`` holds the rows in the order in which they were taken."""

    reference: Reference
    result: Backtest
    stream: pa.Table
    watch: Watch
    facts: dict[str, str]

    @property
    def incidents(self) -> pd.DataFrame:
        """See `drift.analysis.report.tables.incidents`."""
        return tables.incidents(self.result.alerts)

    @property
    def columns(self) -> pd.DataFrame:
        """See `drift.analysis.report.tables.columns`."""
        return tables.columns(tables.ratios(self.reference, self.watch, self.result.reports))


def run(
    reference: Path,
    stream: Path,
    *,
    labels: Path | None = None,
    rows_per_window: int = 500,
    window: str | None = None,
    time: str | None = None,
    timezone: str | None = None,
    watch: Watch,
    on_progress: Callable[[int, int], None] | None = None,
) -> Ran:
    """Run a backtest over files.

    Parameters
    ----------
    reference
        A reference file or a package's folder. A package scores a stream that has no scores.
    stream, labels, rows_per_window, window, time, timezone, on_progress
        See `drift.backtest`.
    watch
        Tolerances, budget, false alarms.
    """
    read = references.read(reference)
    table = _scored(reference, read, frames.read(stream, read.kinds))
    if time is not None:
        frames.require(table, (time,), "the stream")
        # So that the rows of a window lie together.
        table = table.take(pa.array(np.argsort(milliseconds(table.column(time), time), kind="stable")))
    result = backtest(
        read,
        table,
        labels=labels,
        rows_per_window=rows_per_window,
        false_alarm_every=watch.false_alarm_every,
        window=window,
        time=time,
        timezone=timezone,
        watch=watch,
        on_progress=on_progress,
    )
    zone = timezone or watch.timezone
    cut = (
        {"window": window or "1min", "time": time, "timezone": zone}
        if time
        else {"rows per window": f"{rows_per_window:,}"}
    )
    facts = {
        "reference": f"{reference}   {read.id}",
        "stream": with_sha256(stream),
        **({"labels": with_sha256(labels)} if labels else {}),
        **cut,
        "false alarm every": f"{watch.false_alarm_every:,.0f} windows",
        "tolerances": ", ".join(f"{name} {value:g}" for name, value in watch.tolerances.items()),
        "budget": ", ".join(f"{name} {value:g}" for name, value in watch.budget.items()),
        "driftline": version("driftline"),
        "command": _command(reference, stream, labels, cut, watch),
    }
    return Ran(reference=read, result=result, stream=table, watch=watch, facts=facts)


def _scored(package: Path, reference: Reference, table: pa.Table) -> pa.Table:
    """Let a package's model score rows that have no scores."""
    if not package.is_dir():
        return table
    from driftline.commands import model_profile

    return model_profile.with_scores(package, reference, table)


def _command(reference: Path, stream: Path, labels: Path | None, cut: dict[str, Any], watch: Watch) -> str:
    words = ["driftline", "backtest", "--reference", str(reference), "--stream", str(stream)]
    words += ["--labels", str(labels)] if labels else []
    if "time" in cut:
        words += ["--window", cut["window"], "--time", cut["time"], "--timezone", cut["timezone"]]
    else:
        words += ["--rows-per-window", cut["rows per window"].replace(",", "")]
    return shlex.join([*words, "--false-alarm-every", f"{watch.false_alarm_every:g}"])
