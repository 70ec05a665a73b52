"""Whether a message holds values that can be: asked before a stage's state is touched, for anybody may have written it.

What passes can be counted and judged without an error. What does not is one record's fault: its stage sets it aside
and goes on, and nothing of it is left behind.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from drift.counting.duplicate_ids import whole
from drift.performance.label_sums import LABELLED
from drift.reference.reference import Reference
from streams.names import check_name
from streams.wire.observation import Head
from streams.wire.records import FORMAT, Act, CountsMessage, Idle, LabelSums, MinuteCounts, PartialCounts, RouteCopy
from streams.wire.time_limits import KEPT_MS

#: More than any topic has; what is asked of each of them must end.
PARTITIONS_MAX = 100_000
#: More than any message, window or model has.
ROWS_MAX = 2**32

_LABEL_BYTES = 32


class Impossible(ValueError):
    """A value that cannot be; the text says which, where, and what can."""


def check_observation(head: Head, batch: pa.RecordBatch) -> None:
    """Refuse an observation whose values cannot be.

    Raises
    ------
    Impossible
        A name, a partition or a time that cannot be.
    """
    _names(head.model, head.version)
    _partition(head.partition, head.partitions)
    _within("at_ms", 0 if head.at_ms is None else head.at_ms, KEPT_MS)
    times = batch.column("ts").to_numpy()
    for bound in (times.min(), times.max()) if len(times) else ():
        _within("ts", int(bound), KEPT_MS)
    for request in head.refused or ():
        _within("refused.ts", request.ts, KEPT_MS)


def check_counts(message: CountsMessage, reference: Reference | None) -> None:
    """Refuse a message of `counts` whose values cannot be.

    Parameters
    ----------
    reference
        What counts and label sums were counted over; None for other messages.

    Raises
    ------
    Impossible
        A format, a name, a time, a number or an array that cannot be.
    """
    if message.format != FORMAT:
        raise Impossible(f"counts format {message.format}, this version reads {FORMAT}; upgrade the monitor")
    _names(message.model)
    match message:
        case PartialCounts():
            assert reference is not None
            _check_partial(message, reference)
        case LabelSums():
            assert reference is not None
            _check_labels(message, reference)
        case Idle():
            _partition(message.partition, message.partitions)
            _within("at_ms", 0 if message.at_ms is None else message.at_ms, KEPT_MS)
        case RouteCopy():
            _names(message.route.model, message.route.champion, *message.route.canary, *message.route.shadows)
            _within("route.epoch", message.route.epoch, (1, 2**53))
            _within("route.ts", message.route.ts, KEPT_MS)
            if message.route.model != message.model:
                raise Impossible(f"a route of {message.route.model} among the messages of {message.model}")
        case Act():
            _within("at_ms", message.at_ms, KEPT_MS)
            _within("until_ms", 0 if message.until_ms is None else message.until_ms, KEPT_MS)


def _check_partial(message: PartialCounts, reference: Reference) -> None:
    _partition(message.partition, message.partitions)
    _within("watermark_ms", 0 if message.watermark_ms is None else message.watermark_ms, KEPT_MS)
    _within("behind", message.behind or 0, (0, ROWS_MAX))
    for leap in message.leaps or ():
        _within("leaps.start_ms", leap.start_ms, KEPT_MS)
        _within("leaps.end_ms", leap.end_ms, KEPT_MS)
    for count in message.refused:
        _within("refused.minute_ms", count.minute_ms, KEPT_MS)
        _within("refused.many", count.many, (1, ROWS_MAX))
    segments = {"", *reference.segments}
    for minute in message.minutes:
        _check_minute(minute, reference)
        if minute.segment.partition("=")[0] not in segments:
            raise Impossible(f"segment {minute.segment[:100]!r} is none of the reference's")


def _check_minute(minute: MinuteCounts, reference: Reference) -> None:
    _within("minute_ms", minute.minute_ms, KEPT_MS)
    _within("rows", minute.rows, (0, ROWS_MAX))
    width = len(reference.columns)
    sizes = {"cells": 8 * len(reference.counts), "moments": 16 * width, "extremes": 8 * width}
    for name, size in sizes.items():
        if len(getattr(minute, name)) != size:
            raise Impossible(f"{name} of {len(getattr(minute, name))} bytes, the reference's have {size}")
    if not whole(minute.ids):
        raise Impossible(f"ids of {len(minute.ids)} bytes are no sketch of rows' ids")
    cells = np.frombuffer(minute.cells, "<i8")
    for bound in (cells.min(), cells.max()):
        _within("cells", int(bound), (0, ROWS_MAX))
    most = int(np.add.reduceat(cells, reference.offsets[:-1]).max())
    if most > minute.rows:
        raise Impossible(f"cells of one column hold {most} rows, of {minute.rows} in the minute")


def _check_labels(message: LabelSums, reference: Reference) -> None:
    _within("minute_ms", message.minute_ms, KEPT_MS)
    if reference.score is None:
        raise Impossible("labels of a model whose reference has no score")
    size = _LABEL_BYTES * reference.score.size
    if len(message.cells) != size:
        raise Impossible(f"cells of {len(message.cells)} bytes, the reference's have {size}")
    labelled = np.frombuffer(message.cells, "<i8").reshape(-1, 4)[:, LABELLED]
    for bound in (labelled.min(), labelled.max()):
        _within("labelled rows", int(bound), (-ROWS_MAX, ROWS_MAX))
    for many in message.faults.values():
        _within("faults", many, (1, ROWS_MAX))
    if message.segment.partition("=")[0] not in {"", *reference.segments}:
        raise Impossible(f"segment {message.segment[:100]!r} is none of the reference's")


def _names(model: str, *versions: str) -> None:
    try:
        check_name("model", model)
        for version in versions:
            check_name("version", version)
    except ValueError as error:
        raise Impossible(str(error)) from None


def _partition(partition: int, partitions: int) -> None:
    _within("partition", partition, (0, PARTITIONS_MAX))
    _within("partitions", partitions, (0, PARTITIONS_MAX))


def _within(name: str, value: int, bounds: Iterable[int]) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise Impossible(f"{name} is {value}, it lies between {low} and {high}")
