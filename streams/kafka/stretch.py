"""Stretches of the past, as people name them: times or offsets in, a range of offsets for each partition out.

>>> moment("-15m", now_ms=1_000_000), moment("3:1041,0:7", now_ms=0)
(100000, {3: 1041, 0: 7})
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import confluent_kafka as ck

from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.wire.block import Block
from streams.wire.event_time import event_time_ms

#: Offsets by partition, end excluded.
Stretch = Mapping[int, tuple[int, int]]

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(r"-(\d+)([smhd])")
_OFFSETS = re.compile(r"\d+:\d+(,\d+:\d+)*")
_ASK_S = 15.0


class MomentError(ValueError):
    """A place in the log that cannot be read; the text says how to spell one."""


def moment(text: str, now_ms: int) -> int | dict[int, int]:
    """Read a place in the log: a Kafka time in ms, or offsets by partition.

    Parameters
    ----------
    text
        ``now``, ``-15m`` (s, m, h, d), RFC 3339, milliseconds since 1970, or ``partition:offset[,...]``.

    Raises
    ------
    MomentError
        It is none of these.
    """
    text = text.strip()
    if text == "now":
        return now_ms
    if ago := _AGO.fullmatch(text):
        return now_ms - int(ago[1]) * _UNITS_MS[ago[2]]
    if _OFFSETS.fullmatch(text):
        return {int(partition): int(offset) for partition, offset in (p.split(":") for p in text.split(","))}
    ms = event_time_ms(int(text) if text.isdigit() else text)
    if ms is None:
        raise MomentError(
            f"{text!r} is no place in the log; say now, -15m, 2026-11-21T07:00:00Z, milliseconds since 1970, "
            "or partition:offset such as 3:1041"
        )
    return ms


def stretch(cluster: Cluster, topic: str, whole: Stretch, start: str | None, end: str | None, now_ms: int) -> Stretch:
    """Cut a topic to a stretch: whatever is not named begins and ends as ``whole`` does.

    Offsets name partitions: where either end is given by offsets, only the named partitions are meant.

    Parameters
    ----------
    whole
        First offset and end of every partition.
    start, end
        What a person wrote: a time, a length before now, or offsets by partition; None for the whole's.
    now_ms
        What lengths are counted back from, ms UTC.

    Raises
    ------
    MomentError
        An end cannot be read, or names a partition that is not there.
    """
    ends = [None if text is None else moment(text, now_ms) for text in (start, end)]
    named = {
        partition
        for moment_or_offsets in ends
        if isinstance(moment_or_offsets, dict)
        for partition in moment_or_offsets
    } or set(whole)
    if strange := sorted(named - set(whole)):
        raise MomentError(f"{cluster.topic(topic)} has no partition {strange[0]}, only {min(whole)} to {max(whole)}")
    firsts, lasts = (_places(cluster, topic, moment_or_offsets) for moment_or_offsets in ends)
    bounds = {}
    for partition in sorted(named):
        low, high = whole[partition]
        first, last = firsts.get(partition, low), lasts.get(partition, high)
        bounds[partition] = (max(low, first), max(low, first, min(high, last)))
    return bounds


def _places(cluster: Cluster, topic: str, moment_or_offsets: int | dict[int, int] | None) -> Mapping[int, int]:
    if moment_or_offsets is None or isinstance(moment_or_offsets, dict):
        return moment_or_offsets or {}
    return ranges.at_time(cluster, topic, moment_or_offsets)


def first_where(cluster: Cluster, topic: str, partition: int, true: Callable[[bytes | None], bool]) -> int:
    """The offset from which on a condition holds, found by halving; the end where it never does.

    Parameters
    ----------
    true
        Said of a record's value; false up to some record and true from there on.
    """
    name = cluster.topic(topic)
    low, high = ranges.bounds(cluster, topic)[partition]
    reader = cluster.reader(**{"enable.partition.eof": True, "queued.min.messages": 1})
    try:
        while low < high:
            middle = (low + high) // 2
            reader.assign([ck.TopicPartition(name, partition, middle)])
            message = reader.poll(_ASK_S)
            if message is None:
                raise ranges.RangeError(f"{name}/{partition}: nothing for {_ASK_S:.0f} s at offset {middle}")
            # Markers and aborted records are skipped: what comes may lie behind the middle, or there is nothing more.
            if message.error() is not None or message.offset() >= high or true(message.value()):
                high = middle
            else:
                low = message.offset() + 1
        return low
    finally:
        reader.close()


def recut(blocks: Iterable[Block], cuts: Sequence[int]) -> Iterator[Block]:
    """Blocks of one partition, cut before each of the offsets ``cuts`` (ascending) and nowhere else.

    >>> values = [b"a", b"b", b"c", b"d"]
    >>> blocks = [Block.of("requests", 0, values[:3]), Block.of("requests", 0, values[3:], first=3)]
    >>> [block.values for block in recut(blocks, [1])]
    [[b'a'], [b'b', b'c', b'd']]
    """
    held: Block | None = None
    for block in blocks:
        inside = cuts[bisect_right(cuts, block.first) : bisect_right(cuts, block.last)]
        places = [0, *(bisect_left(block.offsets, cut) for cut in inside), len(block)]
        for piece in (block[first:last] for first, last in pairwise(places) if first < last):
            if held is not None and bisect_right(cuts, held.last) == bisect_right(cuts, piece.first):
                held = Block.joined([held, piece])
            else:
                if held is not None:
                    yield held
                held = piece
    if held is not None:
        yield held
