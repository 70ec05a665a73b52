"""Observations counted again, to stand beside the recorded counts or in their place."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec
import numpy as np

from drift.counting.minutes import unpack
from drift.counting.stage import Count
from drift.reference.catalogue import Catalogue
from driftline.replay.result import Recounted
from driftline.replay.served import Observed
from streams.wire.block import Block
from streams.wire.records import CountsMessage, PartialCounts, Watch

#: Event time that a version's source partition has reached, in ms, as the judge knows it; None before it has spoken.
Reached = Callable[[str, str, int], int | None]


class Recount:
    """Counts the replayed observations at the places where the recorded counts stand.

    Parameters
    ----------
    observations
        Replayed messages, by partition in request order.
    instead
        Versions that answered everything of their models when replayed.
    watch, reached
        How a model is watched at this place of `counts`, and how far its sources had come.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        observations: Iterable[tuple[Observed, bytes]],
        instead: Mapping[str, str],
        watch: Callable[[str], Watch],
        reached: Reached,
    ) -> None:
        self._catalogue = catalogue
        self._instead = instead
        self._watch = watch
        self._reached = reached
        self._counts: dict[int, Count] = {}
        self._waiting: dict[tuple[str, str, int], deque[tuple[Observed, bytes]]] = {}
        for observed, value in observations:
            key = (observed.head.model, observed.head.version, observed.head.partition)
            self._waiting.setdefault(key, deque()).append((observed, value))

    def __call__(self, recorded: PartialCounts) -> list[bytes]:
        """Counts of what was observed up to where a recorded message ends; nothing until its last part."""
        if recorded.watermark_ms is None:
            return []
        version = self._instead.get(recorded.model, recorded.version)
        waiting = self._waiting.get((recorded.model, version, recorded.partition), deque())
        counts: list[bytes] = []
        while waiting and waiting[0][0].head.first <= recorded.last:
            counts += self._process(*waiting.popleft(), recorded.partitions)
        return counts

    def rest(self, model: str, partitions: int) -> list[bytes]:
        """Counts of what no recorded message stands for."""
        counts: list[bytes] = []
        for (name, _, _), waiting in sorted(self._waiting.items()):
            while name == model and waiting:
                counts += self._process(*waiting.popleft(), partitions)
        return counts

    def _process(self, observed: Observed, value: bytes, partitions: int) -> list[bytes]:
        model, version, partition = observed.head.model, observed.head.version, observed.head.partition
        if partition not in self._counts:
            self._counts[partition] = Count(self._catalogue, self._watch, partitions)
        count = self._counts[partition]
        source = f"requests/{partition}"
        known = self._reached(model, version, partition)
        if known is not None and count.clocks.reached(model, source, version) is None:
            count.clocks.reach(model, source, version, known)
        effects = count.process(Block.of("observations", partition, [value]))
        return [message.value or b"" for message in effects.publish if message.topic == "counts"]


class MinuteSums:
    """Sums by version, segment and minute: integers, so however the rows were cut, they must agree."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str, int], np.ndarray] = {}

    def add(self, value: bytes) -> None:
        """Add a message of counts."""
        message = msgspec.msgpack.decode(value, type=CountsMessage)
        assert isinstance(message, PartialCounts), message
        for minute in message.minutes:
            sums = unpack(minute)
            flat = np.concatenate([[sums.rows], sums.cells, sums.moments.ravel()])
            key = (message.model, message.version, minute.segment, minute.minute_ms)
            self._sums[key] = self._sums[key] + flat if key in self._sums else flat

    def against(self, other: "MinuteSums") -> Recounted:
        """How many minutes there are, and how many are equal."""
        keys = self._sums.keys() | other._sums.keys()
        both = self._sums.keys() & other._sums.keys()
        return Recounted(len(keys), sum(np.array_equal(self._sums[key], other._sums[key]) for key in both))
