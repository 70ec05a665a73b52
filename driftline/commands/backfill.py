"""Rows of the past, sent so that windows take them: in order of time, all with a time, to all partitions in step.

A row is late by the event time that its model's version has reached in its own partition. So a backfill comes before
live traffic: where a model has already seen later times, the rows would be late, and that is refused before one is
sent.
"""

from collections.abc import Iterable, Iterator, Sequence

import confluent_kafka as ck
import msgspec
import numpy as np

from drift.counting.calendar import calendar_of
from drift.counting.event_clocks import Maxima
from drift.incidents import rfc3339
from drift.windows.windows import AWAITED_WINDOWS_MAX
from driftline.commands.row_files import Row, RowFile, RowFileError, no_column
from driftline.roles.event_clocks import event_clocks
from streams.clock import now_ms
from streams.formats.envelope import AHEAD_MS_MAX
from streams.kafka.admin import partition_counts
from streams.kafka.cluster import Cluster
from streams.wire.event_time import event_time_ms
from streams.wire.records import DAY_MS, Route, Watch

#: A file that is not in order of time is sorted in memory, up to so many rows.
SORTED_ROWS_MAX = 1_000_000
_ASK_S = 15.0
#: A stretch of rows and labels: so many windows, rows and days at the most. They are half of what closed windows are
#: kept for, as labels of one stretch may come while the next one is sent.
_STRETCH_WINDOWS, _STRETCH_ROWS, _STRETCH_DAYS = AWAITED_WINDOWS_MAX // 2, 100_000, 15


class Past(msgspec.Struct, frozen=True):
    """The event times of a file, int64 ms [rows], in the file's order."""

    path: str
    column: str
    times: np.ndarray

    @property
    def ordered(self) -> bool:
        """Whether the file is in order of time."""
        return bool((np.diff(self.times) >= 0).all())


def survey(file: RowFile, time: str, rows: int | None) -> Past:
    """Read the times of a file's first rows.

    Parameters
    ----------
    file
        The file.
    time
        Column of its event times.
    rows
        How many of its first rows; None for all.

    Raises
    ------
    RowFileError
        A row has no time, or one that lies ahead; or there is no row.
    """
    if time not in file.columns:
        raise RowFileError(no_column(file.path, time, file.columns))
    times: list[int] = []
    alone = RowFile(file.path, only=[time])
    for batch in alone.batches():
        for row in batch[: None if rows is None else max(0, rows - len(times))]:
            ms = event_time_ms(row[time]) if isinstance(row[time], str | int | float) else None
            if ms is None:
                raise RowFileError(
                    f"{file.path}: row {len(times):,} has {row[time]!r:.80} for {time!r}, which is no time; it would "
                    "take that of its arrival, and every later row would be late: drop it, or give it a time"
                )
            times.append(ms)
    if not times:
        raise RowFileError(f"{file.path} holds no row")
    if max(times) > now_ms() + AHEAD_MS_MAX:
        raise RowFileError(
            f"{file.path}: {time!r} reaches to {rfc3339(max(times))}, which lies ahead; a backfill is past"
        )
    return Past(str(file.path), time, np.array(times, np.int64))


def late_rows(past: Past, route: Route, reached_ms: int | None) -> int:
    """Rows of a file whose windows a model has closed, by the event time that it has reached.

    Parameters
    ----------
    past
        Event times of the file.
    route
        How its model is watched.
    reached_ms
        Event time that the model has reached; None before its first row.
    """
    if reached_ms is None:
        return 0
    _, ends = calendar_of(route.watch).spans(past.times)
    return int((ends + route.watch.lateness_ms_max <= reached_ms).sum())


def reached(cluster: Cluster, route: Route) -> int | None:
    """The furthest event time that the versions of a route have reached, ms; None before their first row."""
    topic = cluster.topic("observations")
    partitions = [ck.TopicPartition(topic, partition) for partition in range(partition_counts(cluster)["observations"])]
    asker = cluster.reader(**{"group.id": cluster.prefix + "count"})
    try:
        left = [(position.partition, position.metadata or "") for position in asker.committed(partitions, _ASK_S)]
    finally:
        asker.close()
    return furthest([event_clocks(cluster, partition, memory).maxima for partition, memory in left], route)


def furthest(clocks: Iterable[Maxima], route: Route) -> int | None:
    """The furthest event time in what the count stage has left of each partition of observations.

    >>> route = Route(model="m", epoch=1, ts=0, champion="v2")
    >>> furthest([{"m": {"requests/0": {"v1": 9, "v2": 5}}}, {"m": {"requests/1": {"v2": 7}}}, {}], route)
    7
    """
    versions = {route.champion, *route.canary, *route.shadows}
    sources = [maxima.get(route.model, {}) for maxima in clocks]
    times = [ms for of in sources for known in of.values() for version, ms in known.items() if version in versions]
    return max(times, default=None)


def refusal(past: Past, route: Route, reached_ms: int | None) -> str:
    """Why rows of the past cannot be sent now; empty where they can.

    Parameters
    ----------
    past, route, reached_ms
        As of `late_rows`.
    """
    late = late_rows(past, route, reached_ms)
    if not late or reached_ms is None:
        return ""
    return (
        f"{route.model} {route.champion} has seen event times up to {rfc3339(reached_ms)}, so {late:,} of "
        f"{len(past.times):,} rows of {past.path} would come after their windows had closed, and nothing would watch "
        "them; a backfill comes before live traffic: route a new version for it, whose time begins with these rows, or "
        "see what they would have set off with `driftline backtest`"
    )


def statement(past: Past, model: str, partitions: int, keyed: bool) -> str:
    """Say what a backfill does.

    Parameters
    ----------
    past
        Event times of the file.
    model
        Whose requests they are.
    partitions
        Of `requests`.
    keyed
        Whether rows have keys, which decide their partition.
    """
    first, last = rfc3339(int(past.times.min())), rfc3339(int(past.times.max()))
    order = f"in order of {past.column!r}" + ("" if past.ordered else ", by which they are sorted first")
    where = "by their keys" if keyed else f"in turn to all {partitions} partitions"
    return (
        f"note: a backfill of {len(past.times):,} rows, {first} to {last}, {order}, {where}. Until it has ended, send "
        f"{model} no other requests: theirs are of now, and the rest of these rows would be late"
    )


def stretches(past: Past, watch: Watch) -> list[int]:
    """How many of the rows, in order of time, are sent before the labels of all of them: ascending, the last is all.

    Parameters
    ----------
    past
        Event times of the file.
    watch
        How the model is watched: its windows.

    >>> hours = Past("past.csv", "ts", np.arange(48_000) * 3_600_000 // 1_000)
    >>> stretches(hours, Watch(window_ms=60_000)), stretches(hours, Watch(window_ms=3_600_000))
    ([12800, 25600, 38400, 48000], [48000])
    """
    times = np.sort(past.times)
    starts, _ = calendar_of(watch).spans(times)
    windows = np.cumsum(np.diff(starts, prepend=starts[:1]) > 0)
    ends, at = list[int](), 0
    while at < len(times):
        # Windows that close hold so many rows at the least, as those with fewer are merged.
        by_windows = int(np.searchsorted(windows, windows[at] + _STRETCH_WINDOWS))
        by_rows = at + _STRETCH_WINDOWS * max(1, watch.window_rows_min)
        by_days = int(np.searchsorted(times, times[at] + _STRETCH_DAYS * DAY_MS))
        at = min(max(by_windows, by_rows), max(by_days, at + 1), at + _STRETCH_ROWS, len(times))
        ends.append(at)
    return ends


def in_order(past: Past, batches: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    """The rows of a file in order of time; equal times stay as they were.

    Raises
    ------
    RowFileError
        It is not in order, and too large to be sorted here.
    """
    if past.ordered:
        yield from batches
        return
    if len(past.times) > SORTED_ROWS_MAX:
        raise RowFileError(
            f"{past.path} is not in order of {past.column!r} and has {len(past.times):,} rows; sort it first "
            f"(up to {SORTED_ROWS_MAX:,} are sorted here)"
        )
    rows = [row for batch in batches for row in batch][: len(past.times)]
    yield [rows[n] for n in np.argsort(past.times, kind="stable")]
