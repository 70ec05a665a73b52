"""Rows into minutes: the sums of a batch apart by minute of event time, lateness and segment."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from drift.cells.sums import Sums, sum_groups
from drift.counting.duplicate_ids import sketches
from drift.reference.reference import Reference
from streams.wire.records import MINUTE_MS, MinuteCounts

#: A counts message stays below this; more minutes go into further parts.
PART_BYTES_MAX = 880_000


def count_minutes(
    reference: Reference, batch: pa.RecordBatch | pa.Table, times: np.ndarray, late: np.ndarray, segment: str = ""
) -> list[MinuteCounts]:
    """Sum a batch by minute of event time, rows in time apart from late ones.

    Parameters
    ----------
    times, late
        Event time in ms, int64 [rows]; whether the row's window had closed, bool [rows].
    segment
        A feature of ``reference.segments``: sums apart by its levels, too, named ``feature=level``. Empty for all rows.
    """
    minutes = times // MINUTE_MS
    if segment:
        cells = reference.columns[reference.place(segment)]
        levels = cells.index(batch.column(segment))
        names = [f"{segment}={label}" for label in cells.labels]
    else:
        levels, names = np.zeros(len(times), np.int64), [""]
    first = minutes.min()
    key = (levels * (minutes.max() - first + 1) + minutes - first) * 2 + late
    _, rows, groups = np.unique(key, return_index=True, return_inverse=True)
    sums = sum_groups(reference, batch, groups.astype(np.int32), len(rows))
    ids = [b""] * len(rows)
    if not segment and "id" in batch.schema.names:
        ids = sketches(batch.column("id"), groups, len(rows))
    return [
        pack(int(minutes[row]) * MINUTE_MS, names[levels[row]], bool(late[row]), part, id_sketch)
        for row, part, id_sketch in zip(rows, sums, ids, strict=True)
    ]


def pack(minute_ms: int, segment: str, late: bool, sums: Sums, ids: bytes = b"") -> MinuteCounts:
    """Spell sums for the wire, little-endian.

    Parameters
    ----------
    minute_ms
        Begin of the minute of event time, ms UTC.
    late
        Whether the rows came after their minute had passed.
    ids
        Sketch of the rows' ids; empty for none.
    """
    return MinuteCounts(
        minute_ms=minute_ms,
        segment=segment,
        late=late,
        rows=sums.rows,
        cells=sums.cells.astype("<i8").tobytes(),
        moments=sums.moments.astype("<i8").tobytes(),
        extremes=sums.extremes.astype("<f4").tobytes(),
        ids=ids,
    )


def unpack(minute: MinuteCounts) -> Sums:
    """Read sums off the wire: what `pack` wrote."""
    return Sums(
        minute.rows,
        np.frombuffer(minute.cells, "<i8").astype(np.int64),
        np.frombuffer(minute.moments, "<i8").astype(np.int64).reshape(-1, 2),
        np.frombuffer(minute.extremes, "<f4").astype(np.float32).reshape(-1, 2),
    )


def parts(minutes: Iterable[MinuteCounts]) -> Iterator[list[MinuteCounts]]:
    """Cut minutes into parts that fit a message each; a single minute is never cut (`Reference` bounds its size).

    >>> minute = MinuteCounts(0, "", False, 1, bytes(500_000), b"", b"")
    >>> [len(part) for part in parts([minute, minute, minute])]
    [1, 1, 1]
    """
    part: list[MinuteCounts] = []
    room = PART_BYTES_MAX
    for minute in minutes:
        size = (
            len(minute.cells)
            + len(minute.moments)
            + len(minute.extremes)
            + len(minute.ids)
            + len(minute.segment) * 4
            + 64
        )
        if part and size > room:
            yield part
            part, room = [], PART_BYTES_MAX
        part.append(minute)
        room -= size
    if part:
        yield part
