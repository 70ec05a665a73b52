"""A table as a live stream: counts hour by hour, labels when they become known, through the judge.

`drift.backtest` knows a row's label when it knows the row. Here a label comes `delay_ms` of event time later, or never
(null), which is what a live model sees. Windows are whole hours, so rows are counted an hour at a time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from drift import Reference
from drift.cells import frames
from drift.counting.minutes import count_minutes, parts
from drift.judge.stage import Judge
from drift.performance import label_sums
from streams.wire.records import MINUTE_MS, Alert, LabelSums, Order, PartialCounts, Report, Route, RouteCopy, Watch

HOUR_MS = 60 * MINUTE_MS
_WHERE = {"model": "model", "version": "v1", "topic": "table"}


class Told(NamedTuple):
    """What the judge made of a stream; ``alerts`` say in ``now`` what event time the stream had reached."""

    alerts: pd.DataFrame
    orders: pd.DataFrame
    reports: list[Report]


def judge_stream(reference: Reference, stream: pd.DataFrame, time: str, watch: Watch, delay_ms: int = 0) -> Told:
    """Run rows (in any order) through the judge.

    Parameters
    ----------
    time
        Column of event times, timezone-aware.
    delay_ms
        From a row's hour to the moment at which its label is known.
    """
    judge = Judge(lambda _model, _version: reference)
    route = Route(model=_WHERE["model"], epoch=1, ts=0, champion=_WHERE["version"], watch=watch)
    judge.step(RouteCopy(model=_WHERE["model"], route=route))
    now, alerts, orders, reports = 0, list[dict](), list[dict](), dict[int, Report]()
    for at, message in messages(reference, stream, time, delay_ms):
        now = max(now, at)
        for output in [] if message is None else judge.step(message):
            _sort(output, now, alerts, orders, reports)
    for output in judge.finish():
        _sort(output, now, alerts, orders, reports)
    fields = [field for field in Alert.__struct_fields__ if field != "columns"]
    return Told(
        pd.DataFrame(alerts, columns=["now", *fields, "columns", "moved"]),
        pd.DataFrame(orders, columns=["now", *Order.__struct_fields__]),
        list(reports.values()),
    )


def _sort(output: Alert | Order | Report, now: int, alerts: list, orders: list, reports: dict) -> None:
    if isinstance(output, Report):
        reports[output.window_start] = output
        return
    row = {"now": pd.Timestamp(now, unit="ms", tz="UTC")} | msgspec.structs.asdict(output)
    if isinstance(output, Order):
        orders.append(row)
    elif isinstance(output, Alert):
        alerts.append(row | {"columns": [moved.name for moved in output.columns], "moved": output.columns})


def messages(
    reference: Reference, stream: pd.DataFrame, time: str, delay_ms: int
) -> Iterator[tuple[int, PartialCounts | LabelSums]]:
    """Messages with the event time at which they come: an hour's counts at its end, its labels ``delay_ms`` later."""
    stream = stream.sort_values(time, kind="stable")
    hours = (stream[time].dt.as_unit("ms").astype("int64") // HOUR_MS * HOUR_MS).to_numpy()
    table = frames.read(stream)
    aligned, labels = reference.align(table), table.column(reference.label or reference.sources[0])
    waiting = list[tuple[int, LabelSums]]()
    starts = np.flatnonzero(np.diff(hours, prepend=-1))
    for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(hours)], strict=True):
        hour, rows = int(hours[first]), aligned.slice(first, last - first)
        while waiting and waiting[0][0] <= hour:
            yield waiting.pop(0)
        minutes = count_minutes(reference, rows, hours[first:last], np.zeros(last - first, bool))
        for part in parts(minutes):
            yield (
                hour + HOUR_MS,
                PartialCounts(
                    **_WHERE,
                    reference=reference.id,
                    partition=0,
                    first=first,
                    last=last - 1,
                    partitions=1,
                    watermark_ms=hour,
                    minutes=part,
                ),
            )
        if reference.label is not None:
            sums = _label_sums(reference, rows, labels.slice(first, last - first), hour, first)
            waiting.append((hour + HOUR_MS + delay_ms, sums))
    yield from waiting


def _label_sums(reference: Reference, rows: pa.Table, labels: pa.ChunkedArray, hour: int, first: int) -> LabelSums:
    predicted = None if reference.prediction is None else rows.column("prediction")
    sums = label_sums(reference, rows.column("score"), predicted, labels)
    return LabelSums(
        **_WHERE,
        reference=reference.id,
        segment="",
        minute_ms=hour,
        cells=np.asarray(sums).astype("<i8").tobytes(),
        partition=0,
        first=first,
        last=first + len(rows) - 1,
    )
