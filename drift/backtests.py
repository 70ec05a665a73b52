"""Backtest: what would have been reported and told, had this table been the stream. The live counts, the live judge."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from drift import frames
from drift.columns import levels
from drift.event_times import milliseconds
from drift.frames import Frame, FrameError
from drift.incidents import rfc3339
from drift.judge import Judge
from drift.minutes import count_minutes, parts
from drift.performance import label_sums
from drift.performance.label_faults import label_faults
from drift.reference import Reference
from drift.watched import Told
from streams.records import MINUTE_MS, Alert, LabelSums, PartialCounts, Report, Route, RouteCopy, Watch

_MODEL, _VERSION, _TOPIC = "backtest", "v1", "table"

REPORTS = [
    *("window", "first_row", "last_row", "column", "n", "ks", "w1", "psi", "tvd", "null_rate", "unseen_rate"),
    *("effect", "effect_low", "effect_high", "evidence", "drifted", "partial"),
]
PERFORMANCE = ["window", "first_row", "last_row", "metric", "estimated", "realised", "low", "high", "coverage"]
PERFORMANCE += ["powered", "powered_low", "powered_high"]
ALERTS = [
    *("incident", "event", "window", "first_row", "kind", "severity", "columns", "change_point", "page", "text"),
    "reach",
]


@dataclass(frozen=True)
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


def backtest(
    reference: Reference,
    stream: Frame,
    labels: Frame | None = None,
    rows_per_window: int = 500,
    false_alarm_every: float = 43_200.0,
    *,
    window: str | None = None,
    time: str | None = None,
    watch: Watch | None = None,
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
    watch
        Further settings: tolerances, budget, fewest rows of a window.

    Raises
    ------
    FrameError
        A column is missing, or times and windows do not go together.

    >>> import pandas as pd, drift
    >>> ref = drift.Reference.fit(pd.DataFrame({"city": ["Rome", "Oslo"] * 500}))
    >>> drift.backtest(ref, pd.DataFrame({"city": ["Rome"] * 1000})).alerts.event.tolist()
    ['open', 'update']
    """
    table = frames.read(stream, reference.kinds)
    clock = _Clock.of(table, rows_per_window, window, time)
    settings = msgspec.structs.replace(watch or Watch(), false_alarm_every=false_alarm_every, window_ms=clock.window_ms)
    settings = msgspec.structs.replace(settings, label_wait_ms_max=0)  # A table's labels are there.
    if not table.num_rows:
        reference.align(table)  # A column that is missing is told all the same.
        return _tables([], clock)
    if clock.by_rows:  # A window that was asked for is no starved one.
        settings = msgspec.structs.replace(settings, window_rows_min=min(settings.window_rows_min, rows_per_window))
    judge = Judge(lambda _model, _version: reference, clock.say)
    route = Route(model=_MODEL, epoch=1, ts=0, champion=_VERSION, watch=settings)
    told = judge.take(RouteCopy(model=_MODEL, route=route))
    for message in _messages(reference, table, _labels(reference, table, labels), clock):
        told += judge.take(message)
    return _tables(told + judge.finish(), clock)


@dataclass(frozen=True, eq=False)
class _Clock:
    """Event time of the rows: the table's own, or a minute for every so many rows.

    ``order`` are the rows in order of time and ``times`` their event times in that order, int64 [rows].
    """

    order: np.ndarray
    times: np.ndarray
    window_ms: int
    by_rows: bool

    @classmethod
    def of(cls, table: pa.Table, rows: int, window: str | None, time: str | None) -> "_Clock":
        """Read the times, or make them up."""
        if time is None:
            if window is not None:
                raise FrameError(f"window={window!r} needs time=, the column of event times")
            if rows < 1:
                raise FrameError(f"rows_per_window must be at least 1, got {rows}")
            order = np.arange(table.num_rows)
            return cls(order, order // rows * MINUTE_MS, MINUTE_MS, True)
        frames.require(table, (time,), "the stream")
        length = int(pd.Timedelta(window or "1min") // pd.Timedelta(1, "ms"))
        if length < MINUTE_MS or length % MINUTE_MS:
            raise FrameError(f"window={window!r} is no multiple of a minute")
        stamps = milliseconds(table.column(time), time)
        order = np.argsort(stamps, kind="stable")
        return cls(order, stamps[order], length, False)

    def rows(self, start: int, end: int) -> np.ndarray:
        """Rows whose time lies in an interval."""
        first, last = np.searchsorted(self.times, (start, end))
        return self.order[first:last]

    def name(self, start: int) -> Any:
        """Name a window by its start."""
        return start // MINUTE_MS if self.by_rows else pd.Timestamp(start, unit="ms", tz="UTC")

    def first_row(self, start: int) -> int:
        """Place in the table of the first row at or after a time."""
        at = min(int(np.searchsorted(self.times, start)), len(self.order) - 1)
        return int(self.order[at])

    def say(self, ms: int) -> str:
        """Spell a time in texts: by its row where times are made up."""
        return f"row {self.first_row(ms):,}" if self.by_rows else rfc3339(ms)


def _labels(reference: Reference, table: pa.Table, labels: Frame | None) -> pa.ChunkedArray | None:
    """Labels in the order of the stream's rows, or None."""
    if labels is None:
        has = reference.label is not None and reference.label in table.column_names
        return table.column(reference.label) if has else None
    if reference.label is None:
        raise FrameError("labels need a reference with a label; give label= to Reference.fit")
    own = frames.read(labels)
    frames.require(own, (reference.label,), "the table of labels")
    shared = [name for name in own.column_names if name in table.column_names and name != reference.label]
    if len(shared) != 1:
        raise FrameError(f"labels and stream must share one column to join by, they share {shared}")
    key = shared[0]
    # By their spelling, so that 7, 7.0 and "7" are one id.
    known, asked = (pd.Index(_texts(side.column(key))) for side in (own, table))
    if known.dropna().has_duplicates:
        twice = known[known.duplicated() & known.notna()][0]
        raise FrameError(f"labels: {key} {twice!r} stands twice; keep the latest")
    place = np.where(asked.isna(), -1, known[known.notna()].get_indexer(asked))
    own = own.filter(pa.array(known.notna()))
    found: pa.ChunkedArray = own.column(reference.label).take(pa.array(place, mask=place < 0))
    return found


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    codes, texts = levels(column)
    found: np.ndarray = np.array([*texts, None], object)[codes]
    return found


def _messages(
    reference: Reference, table: pa.Table, labels: pa.ChunkedArray | None, clock: _Clock
) -> Iterator[PartialCounts | LabelSums]:
    """Counts and label sums, minute by minute, as the stages would have published them."""
    aligned = reference.align(table).take(clock.order)
    judged = reference.score is not None and reference.task in ("binary", "multiclass", "regression")
    said = labels.take(clock.order) if labels is not None and judged else None
    minutes = clock.times // MINUTE_MS
    cuts = np.flatnonzero(np.diff(minutes, prepend=minutes[:1] - 1))
    for first, last in zip(cuts, [*cuts[1:], len(minutes)], strict=True):
        rows = aligned.slice(first, last - first)
        times = clock.times[first:last]
        for part in parts(count_minutes(reference, rows, times, np.zeros(last - first, bool))):
            yield PartialCounts(
                model=_MODEL,
                version=_VERSION,
                reference=reference.id,
                topic=_TOPIC,
                partition=0,
                first=int(first),
                last=int(last) - 1,
                partitions=1,
                watermark_ms=int(times[0]),
                minutes=part,
            )
        if said is not None:
            yield _label_sums(reference, rows, said.slice(first, last - first), int(minutes[first]), int(first))


def _label_sums(reference: Reference, rows: pa.Table, labels: pa.ChunkedArray, minute: int, first: int) -> LabelSums:
    predicted = None if reference.prediction is None else rows.column("prediction")
    sums = label_sums(reference, rows.column("score"), predicted, labels)
    return LabelSums(
        model=_MODEL,
        version=_VERSION,
        reference=reference.id,
        segment="",
        minute_ms=minute * MINUTE_MS,
        cells=sums.astype("<i8").tobytes(),
        faults=label_faults(reference, labels),
        topic=_TOPIC,
        partition=0,
        first=first,
        last=first + len(labels) - 1,
    )


def _tables(told: list[Told], clock: _Clock) -> Backtest:
    reports = {said.window_start: said for said in told if isinstance(said, Report)}
    alerts = [said for said in told if isinstance(said, Alert)]
    columns, figures = [], []
    for report in reports.values():
        place = _place(report, clock) | {"partial": bool(report.partial)}
        columns += [place | _fields(column) | {"column": column.name} for column in report.columns]
        figures += [place | _fields(metric) for metric in report.performance]
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
    return Backtest(_frame(columns, REPORTS), _frame(figures, PERFORMANCE), _frame(events, ALERTS))


def _place(report: Report, clock: _Clock) -> dict[str, Any]:
    rows = clock.rows(report.window_start, report.window_end)
    return {"window": clock.name(report.window_start), "first_row": int(rows.min()), "last_row": int(rows.max())}


def _fields(said: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(said, name) for name in said.__struct_fields__}


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns)
