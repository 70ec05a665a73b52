"""Silences: which partitions are idle, and which of those are asleep.

    reading ──▶ idle ──▶ asleep ──▶ asleep for an hour more ...
       ▲          └────────┴──────────────┘ a record comes

A partition is silent while nothing comes and it is read to its end, by the broker's word. Each length of a silence is
noticed once. It is noticed again, as often as a partition becomes idle, while other partitions of the topic go on:
where all were silent and one wakes, the others are awaited until they speak or are silent anew
(`drift.windows.watermark.Source`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

import confluent_kafka as ck

from streams.clock import ticks_ms
from streams.runtime.microbatch import Silence
from streams.runtime.offset_marks import Place
from streams.runtime.positions import Positions
from streams.wire.block import Block


class _Quiet(NamedTuple):
    """Since when a partition is quiet, how many lengths of its silence were noticed, when it was last looked at, and
    where all partitions of its topic ended when it was noticed.
    """

    since_ms: float
    lengths: int = 0
    looked_ms: float = 0.0
    ends: tuple[int, ...] = ()


class Silences:
    """How long the partitions of one consumer have been quiet.

    Parameters
    ----------
    positions
        Of the same partitions.
    idle_after_ms
        A partition is idle after this long; None never, nor is it asleep.
    asleep_after_ms
        Ascending, and longer than ``idle_after_ms``: after each of them it is asleep.
    clock
        Monotonic time, ms.
    """

    def __init__(
        self,
        positions: Positions,
        idle_after_ms: int | None,
        asleep_after_ms: Sequence[int] = (),
        clock: Callable[[], float] = ticks_ms,
    ) -> None:
        self._positions = positions
        self._lengths_ms = () if idle_after_ms is None else (idle_after_ms, *asleep_after_ms)
        self._clock = clock
        self._quiet: dict[Place, _Quiet] = {}

    def places(self) -> list[Place]:
        """Partitions that are read, by logical topic; may be asked from any thread."""
        return sorted(self._quiet.copy())

    def begin(self, places: Iterable[Place]) -> None:
        """Partitions begin to be read."""
        self._quiet |= dict.fromkeys(places, _Quiet(self._clock()))

    def forget(self, partition: Place) -> None:
        """A partition has gone."""
        self._quiet.pop(partition, None)

    def clear(self) -> None:
        """All partitions have gone."""
        self._quiet.clear()

    def of(self, client: ck.Consumer, blocks: Sequence[Block]) -> list[Silence]:
        """Silences to be told now, after these blocks were read."""
        now = self._clock()
        self._quiet |= {(block.topic, block.partition): _Quiet(now) for block in blocks}
        ends_of = cache(lambda topic: self._positions.topic_ends(client, topic))
        looked = [self._look(client, partition, now, ends_of) for partition in list(self._quiet)]
        return [silence for silence in looked if silence is not None]

    def _look(
        self, client: ck.Consumer, partition: Place, now: float, ends_of: Callable[[str], tuple[int, ...]]
    ) -> Silence | None:
        quiet, lengths_ms = self._quiet[partition], self._lengths_ms
        longer = quiet.lengths < len(lengths_ms) and now - quiet.since_ms > lengths_ms[quiet.lengths]
        if not longer and not (quiet.lengths and now - quiet.looked_ms > lengths_ms[0]):
            return None
        ends = ends_of(partition[0])
        others_went_on = bool(ends) and ends != quiet.ends
        if not ((longer or others_went_on) and self._positions.at_end(client, partition)):
            self._quiet[partition] = quiet._replace(looked_ms=now)
            return None
        lengths = quiet.lengths + longer
        self._quiet[partition] = _Quiet(quiet.since_ms, lengths, now, ends)
        return Silence(*partition, asleep=lengths > 1, last=self._positions.next_offset(partition) - 1)
