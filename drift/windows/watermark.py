"""The watermark: event time that all partitions of a model's sources have passed."""

from collections.abc import Iterable

import msgspec

from drift.counting.calendar import calendar_of
from streams.wire.records import MINUTE_MS, Watch


class Source(msgspec.Struct):
    """What is known of one source topic: how far the event time of each version and partition has come, which
    partitions are idle, or asleep, and of which of them the silence is told again while it lasts.

    ``until_ms`` is the time, by a clock, at which one was last told asleep.

    Where all are idle and one speaks, the others are awaited again: in the time of a stream that wakes they are not
    behind because nothing comes, but because it has not been read yet.
    """

    partitions: int
    reached: dict[str, dict[int, int]] = {}
    idle: set[int] = set()
    asleep: set[int] = set()
    repeated: set[int] = set()
    until_ms: int | None = None

    def advance(self, version: str, partition: int, partitions: int, watermark_ms: int | None) -> None:
        """A partition speaks of a version, whose watermark there only grows.

        Parameters
        ----------
        partitions
            How many the source topic has.
        watermark_ms
            Event time that the partition has passed, ms; None where it has no row yet.
        """
        self.partitions = max(self.partitions, partitions)
        if len(self.repeated) >= self.partitions:
            self.idle, self.asleep, self.repeated = set(), set(), set()
        for silent in (self.idle, self.asleep, self.repeated):
            silent.discard(partition)
        times = self.reached.setdefault(version, {})
        if watermark_ms is not None:
            times[partition] = max(watermark_ms, times.get(partition, watermark_ms))

    def mark_idle(
        self, partition: int, partitions: int, asleep: bool = False, repeated: bool = False, at_ms: int | None = None
    ) -> None:
        """A partition leaves the watermark's minimum until it speaks again.

        Parameters
        ----------
        partition, partitions
            The partition, and how many its topic has.
        asleep
            It has been silent for so long that nobody knows when it speaks again.
        repeated
            Its silence is told again while it lasts.
        at_ms
            When that was seen, by a clock; None where it is not known.
        """
        self.partitions = max(self.partitions, partitions)
        self.idle.add(partition)
        if repeated:
            self.repeated.add(partition)
        if asleep:
            self.asleep.add(partition)
            self.until_ms = max(filter(None, (self.until_ms, at_ms)), default=None)

    @property
    def sleeps(self) -> bool:
        """Whether every partition is asleep."""
        return len(self.asleep) == self.partitions

    def times(self, version: str | None) -> dict[int, int]:
        """How far a version has come in each partition; None for whichever version has come furthest."""
        if version is not None:
            return self.reached.get(version, {})
        several = self.reached.values()
        known = {partition for times in several for partition in times}
        return {p: max(times[p] for times in several if p in times) for p in known}


def seen_asleep(sources: Iterable[Source]) -> int | None:
    """When a source was last told asleep, by a clock; None where that is not known."""
    return max((source.until_ms for source in sources if source.until_ms is not None), default=None)


def watermark(sources: Iterable[Source], watch: Watch | None = None, version: str | None = None) -> int | None:
    """Event time that all partitions have passed, or None before all have spoken.

    Idle partitions wait for nobody; where all are idle, the furthest one counts. Where all are asleep, its window is
    over, and so is the time that ``watch`` allows for stragglers; but not before the clock has come to its end: a day
    is not over because nobody asks for a minute. Only the topics that speak of ``version`` count, and what they say of
    it; None for what they say of any.

    Parameters
    ----------
    sources
        The source topics that have spoken.
    watch
        The settings, for the time that stragglers have.
    version
        Only what they say of this version.

    >>> watermark([Source(3, {"v1": {0: 50, 1: 70}}, {2})]), watermark([Source(3, {"v1": {0: 50, 1: 70}})])
    (50, None)
    """
    reached: list[int | None] = []
    furthest: list[int] = []
    asleep = True
    sources = [source for source in sources if version is None or source.times(version)]
    for source in sources:
        times = source.times(version)
        asleep = asleep and source.sleeps
        reached += [times.get(p) for p in range(source.partitions) if p not in source.idle]
        furthest += times.values()
    if not reached:
        last = max(furthest, default=None)
        if last is None or watch is None or not asleep:
            return last
        end = calendar_of(watch).span(last)[1]
        until = seen_asleep(sources)
        return last if until is not None and end > until + MINUTE_MS else end + watch.lateness_ms_max
    known = [time for time in reached if time is not None]
    return min(known) if len(known) == len(reached) else None
