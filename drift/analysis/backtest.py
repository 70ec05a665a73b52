"""Backtest: what would have been reported and told, had this table been the stream. The live counts, the live judge."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from drift.analysis.backtest_text import summary
from drift.analysis.table_clock import TableClock
from drift.analysis.table_counts import MODEL, VERSION, table_counts
from drift.cells import frames
from drift.cells.columns import levels
from drift.cells.frames import Frame, FrameError
from drift.incidents.verdict import word
from drift.judge.output import Output
from drift.judge.stage import Judge
from drift.reference.reference import Reference
from drift.statistics.column_table import COLUMN_STATISTICS
from streams.wire.records import Alert, ColumnReport, Report, Route, RouteCopy, Watch

REPORTS = [
    *("window", "first_row", "last_row", "column", "n"),
    *(statistic.name for statistic in COLUMN_STATISTICS if statistic.in_backtest),
    *("effect", "effect_low", "effect_high", "evidence", "drifted", "partial", "verdict"),
]
PERFORMANCE = ["window", "first_row", "last_row", "metric", "estimated", "realised", "low", "high", "coverage"]
PERFORMANCE += ["powered", "powered_low", "powered_high"]
ALERTS = [
    *("incident", "event", "window", "first_row", "kind", "severity", "columns", "change_point", "page", "text"),
    "reach",
]
#: Types of the columns that hold no floats, for tables without a row.
_TYPES = dict.fromkeys(("first_row", "last_row", "n"), "int64") | dict.fromkeys(("drifted", "page", "partial"), "bool")
_TYPES |= dict.fromkeys(("column", "verdict", "metric", "incident", "event", "kind"), "object")
_TYPES |= dict.fromkeys(("severity", "columns", "text", "reach"), "object")


@dataclass(frozen=True, repr=False)
class Backtest:
    """What a backtest found, as pandas tables.

    Parameters
    ----------
    reports
        A row per window and column. A ``partial`` window is one that the stream began or ended in: it is not judged.
    performance
        A row per window and metric; empty without a score.
    alerts
        A row per event of an incident.
    """

    reports: pd.DataFrame
    performance: pd.DataFrame
    alerts: pd.DataFrame

    def __repr__(self) -> str:
        return summary(self.reports, self.performance, self.alerts)


def backtest(
    reference: Reference,
    stream: Frame,
    labels: Frame | None = None,
    rows_per_window: int = 500,
    false_alarm_every: float = 43_200.0,
    *,
    window: str | None = None,
    time: str | None = None,
    timezone: str | None = None,
    watch: Watch | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Run a table through the counts and the judge that watch a live stream.

    Parameters
    ----------
    reference
        What the rows are compared with.
    stream
        The rows, in the order in which they came: pandas, Arrow, or a path.
    labels
        A table with the label and one column more that it has in common with the stream, by which they are joined.
        By default the stream's own label column, if it has one. They count as known when their rows are, so
        performance is judged with each window.
    rows_per_window
        Rows that make a window, where no ``time`` is named.
    false_alarm_every
        Windows that may pass, on average, between false incidents.
    window, time
        A window's length as pandas spells it (``"1min"``, ``"1h"``), and the column of event times; rows are then taken
        in order of time, and windows are named by their start.
    timezone
        Time zone by whose calendar windows begin (an IANA name): a day goes from midnight to midnight there, a week
        (``"7D"``) begins on Monday. By default that of ``watch``, which is UTC.
    watch
        Further settings: tolerances, budget, fewest rows of a window.
    on_progress
        Told how many rows have been taken, and how many there are.

    Raises
    ------
    FrameError
        A column is missing, or times and windows do not go together.

    >>> import pandas as pd, drift
    >>> ref = drift.Reference.fit(pd.DataFrame({"city": ["Rome", "Oslo"] * 500}))
    >>> drift.backtest(ref, pd.DataFrame({"city": ["Rome"] * 1000})).alerts.event.tolist()
    ['open']
    """
    table = frames.read(stream, reference.kinds)
    watch = watch or Watch()
    clock = _clock(table, rows_per_window, window, time, timezone or watch.timezone)
    settings = msgspec.structs.replace(
        watch,
        false_alarm_every=false_alarm_every,
        window_ms=clock.window_ms,
        timezone=clock.timezone,
        label_wait_ms_max=0,  # A table's labels are there.
    )
    if not table.num_rows:
        reference.align(table)  # Refuses a table that lacks a column, even without rows.
        return _tables([], clock)
    if clock.by_rows:  # A window that was asked for is no starved one.
        settings = msgspec.structs.replace(settings, window_rows_min=min(settings.window_rows_min, rows_per_window))
    judge = Judge(lambda _model, _version: reference, clock.say)
    route = Route(model=MODEL, epoch=1, ts=0, champion=VERSION, watch=settings)
    messages = judge.step(RouteCopy(model=MODEL, route=route))
    known = _labels(reference, table, labels)
    judged = reference.score is not None and reference.task in ("binary", "multiclass", "regression")
    for message in table_counts(reference, reference.align(table), known if judged else None, clock, on_progress):
        messages += judge.step(message)
    return _tables(messages + judge.finish(), clock)


def _clock(table: pa.Table, rows: int, window: str | None, time: str | None, timezone: str) -> TableClock:
    if time is not None:
        return TableClock.of_times(table, time, window, timezone)
    if window is not None:
        raise FrameError(f"window={window!r} needs time=, the column of event times")
    return TableClock.of_rows(table.num_rows, rows)


def _labels(reference: Reference, table: pa.Table, labels: Frame | None) -> pa.ChunkedArray | None:
    """Labels in the order of the stream's rows, or None."""
    if labels is None:
        has = reference.label is not None and reference.label in table.column_names
        return table.column(reference.label) if has else None
    if reference.label is None:
        raise FrameError("labels need a reference with a label; give label= to Reference.fit")
    labels_table = frames.read(labels)
    frames.require(labels_table, (reference.label,), "the table of labels")
    shared = [name for name in labels_table.column_names if name in table.column_names and name != reference.label]
    if len(shared) != 1:
        raise FrameError(f"labels and stream must share one column to join by, they share {shared}")
    key = shared[0]
    # By their spelling, so that 7, 7.0 and "7" are one id.
    known, wanted = (pd.Index(_texts(side.column(key))) for side in (labels_table, table))
    if known.dropna().has_duplicates:
        twice = known[known.duplicated() & known.notna()][0]
        raise FrameError(f"labels: {key} {twice!r} stands twice; keep the latest")
    positions = np.where(wanted.isna(), -1, known[known.notna()].get_indexer(wanted))
    labels_table = labels_table.filter(pa.array(known.notna()))
    joined: pa.ChunkedArray = labels_table.column(reference.label).take(pa.array(positions, mask=positions < 0))
    return joined


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    codes, texts = levels(column)
    spelled: np.ndarray = np.array([*texts, None], object)[codes]
    return spelled


def _tables(messages: list[Output], clock: TableClock) -> Backtest:
    reports = {message.window_start: message for message in messages if isinstance(message, Report)}
    alerts = [message for message in messages if isinstance(message, Alert)]
    columns, figures = [], []
    for report in reports.values():
        window = _window(report, clock) | {"partial": bool(report.partial)}
        columns += [window | _fields(column) | _verdict_of(column) for column in report.columns]
        figures += [window | _fields(metric) for metric in report.performance]
    events = [
        _fields(alert)
        | {
            "window": clock.name(alert.window_start),
            "first_row": clock.first_row(alert.window_start),
            "columns": [column.name for column in alert.columns],
            "change_point": clock.first_row(alert.change_point) if clock.by_rows else clock.name(alert.change_point),
        }
        for alert in alerts
    ]
    moment = "int64" if clock.by_rows else f"datetime64[ns, {clock.timezone}]"
    several = ((columns, REPORTS), (figures, PERFORMANCE), (events, ALERTS))
    return Backtest(*(_frame(rows, names, moment) for rows, names in several))


def _window(report: Report, clock: TableClock) -> dict[str, Any]:
    rows = clock.rows(report.window_start, report.window_end)
    return {"window": clock.name(report.window_start), "first_row": int(rows.min()), "last_row": int(rows.max())}


def _verdict_of(column: ColumnReport) -> dict[str, str]:
    """A column's name, and its effect in a word: unchanged, unclear, changed."""
    return {"column": column.name, "verdict": word(column.effect_low, column.effect_high, column.tolerance)}


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _frame(rows: list[dict[str, Any]], columns: list[str], moment: str) -> pd.DataFrame:
    """A table of its columns' types also where it has no row: ``alerts[alerts.page]`` works on a quiet stream."""
    if rows:
        return pd.DataFrame(rows, columns=columns)
    types = {"window": moment} | _TYPES | ({"change_point": moment} if "change_point" in columns else {})
    return pd.DataFrame({name: pd.Series(dtype=types.get(name, "float64")) for name in columns})
