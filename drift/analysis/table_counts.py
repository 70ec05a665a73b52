"""A table as the messages that the live stages would have put on `counts`, window by window.

Live counts are kept apart by minute, for nobody knows which windows will be asked for. Here that is known, so the rows
of a window are counted together: those of its last minute, and all before, so that it can be seen where its rows begin
and end. Sums are integers: the judge sees the same window.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from drift.analysis.table_clock import TableClock
from drift.cells.sums import sum_groups
from drift.counting.minutes import pack
from drift.performance import label_sums
from drift.performance.label_faults import label_faults
from drift.reference.reference import Reference
from streams.wire.records import MINUTE_MS, LabelSums, PartialCounts

MODEL, VERSION, TOPIC = "backtest", "v1", "table"
#: Rows, and counts of windows, that are in memory at a time.
CHUNK_ROWS_MAX, CHUNK_ATOMS_MAX = 131_072, 256


def table_counts(
    reference: Reference,
    rows: pa.Table,
    labels: pa.ChunkedArray | None,
    clock: TableClock,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[PartialCounts | LabelSums]:
    """Count a table.

    Parameters
    ----------
    rows, labels
        What `Reference.align` makes of the table, and the labels of its rows, in the table's order.
    clock
        Its event time.
    on_progress
        Told how many rows have been counted, and how many there are.
    """
    if not clock.ordered:
        rows = rows.take(clock.order)
        labels = None if labels is None else labels.take(clock.order)
    total, ends = len(clock.times), _atom_ends(clock)
    first = 0
    while len(ends):
        held = max(1, min(CHUNK_ATOMS_MAX, int(np.searchsorted(ends, first + CHUNK_ROWS_MAX, side="right"))))
        yield from _chunk(reference, rows, labels, clock, np.concatenate([[first], ends[:held]]))
        first, ends = int(ends[held - 1]), ends[held:]
        if on_progress is not None:
            on_progress(first, total)


def _atom_ends(clock: TableClock) -> np.ndarray:
    """Rows at which what is counted together ends, int64 ascending: windows, and before the last minute of each."""
    starts, minutes = clock.window_starts(), clock.times // MINUTE_MS
    window_ends = np.append(np.flatnonzero(np.diff(starts)) + 1, len(starts)) if len(starts) else np.zeros(0, np.int64)
    last_minutes = np.searchsorted(minutes, minutes[window_ends - 1])
    return np.unique(np.concatenate([window_ends, last_minutes[last_minutes > 0]])).astype(np.int64)


def _chunk(
    reference: Reference, rows: pa.Table, labels: pa.ChunkedArray | None, clock: TableClock, cuts: np.ndarray
) -> Iterator[PartialCounts | LabelSums]:
    """Messages of consecutive atoms, between the rows ``cuts``."""
    sizes = np.diff(cuts)
    groups = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    counted = sum_groups(reference, rows.slice(cuts[0], cuts[-1] - cuts[0]), groups, len(sizes))
    for first, last, sums in zip(cuts[:-1].tolist(), cuts[1:].tolist(), counted, strict=True):
        minute_ms = int(clock.times[first]) // MINUTE_MS * MINUTE_MS
        yield PartialCounts(
            model=MODEL,
            version=VERSION,
            reference=reference.id,
            topic=TOPIC,
            partition=0,
            first=first,
            last=last - 1,
            partitions=1,
            watermark_ms=int(clock.times[first]),
            minutes=[pack(minute_ms, "", False, sums)],
        )
        if labels is not None:
            some = slice(first, last)
            yield _labels(reference, rows.slice(first, last - first), labels[some], minute_ms, first)


def _labels(reference: Reference, rows: pa.Table, labels: pa.ChunkedArray, minute_ms: int, first: int) -> LabelSums:
    predicted = None if reference.prediction is None else rows.column("prediction")
    sums = label_sums(reference, rows.column("score"), predicted, labels)
    return LabelSums(
        model=MODEL,
        version=VERSION,
        reference=reference.id,
        segment="",
        minute_ms=minute_ms,
        cells=sums.astype("<i8").tobytes(),
        faults=label_faults(reference, labels),
        topic=TOPIC,
        partition=0,
        first=first,
        last=first + len(labels) - 1,
    )
