"""The recorded counts judged again, from the state that the judge had where the stretch begins.

Counts of several partitions lie among one another, so "where the stretch begins" is the first message of `counts` that
speaks of one of its requests; the state there is the newest snapshot before it, and the recorded messages between.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from drift.judge.stage import Judge
from drift.reference.catalogue import Catalogue, Unwatched
from driftline.progress import OnProgress
from driftline.replay.overrides import ReplayError
from driftline.replay.recount import MinuteSums, Recount
from driftline.replay.relabel import Relabelled
from driftline.replay.served import Observed
from streams.kafka import group_offsets as progress
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.kafka.stretch import Stretch
from streams.runtime import snapshots
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.records import CountsMessage, LabelSums, PartialCounts, Route, RouteCopy, Watch

#: The first counts of a stretch are looked for from so long before its first observation on; clocks differ.
_CLOCKS_MS_MAX = 600_000

#: A bar moves once in so many messages.
_TOLD_EVERY = 200

_decode = msgspec.msgpack.Decoder(CountsMessage).decode


class Retold(msgspec.Struct):
    """What the judge of one partition of `counts` says of a stretch.

    ``since`` is Kafka's time of the first message judged, ``told`` what it led to, and the two sums are what was
    counted then and now (as it was served only).
    """

    partition: int
    begins: str
    since: int
    told: list[Publish]
    recorded: MinuteSums
    recounted: MinuteSums


class Judging:
    """Judges a stretch again, a partition of `counts` after the other.

    Parameters
    ----------
    whole
        The stretch, in whole live blocks.
    to_end
        The stretch reaches to where the worker is: so `counts` are read to where the judge is.
    served, messages
        The observations that were served, and the replayed ones.
    alter
        Changes a route into the one to replay under; None to replay as it was served.
    on_progress
        Told what is being done, how many offsets are, and how many there are.
    """

    def __init__(
        self,
        cluster: Cluster,
        catalogue: Catalogue,
        whole: Stretch,
        *,
        to_end: bool,
        served: Sequence[Observed],
        messages: Sequence[tuple[Observed, bytes]],
        history: Sequence[Route],
        instead: Mapping[str, str],
        alter: Callable[[Route], Route] | None,
        labels: Relabelled,
        on_progress: OnProgress,
    ) -> None:
        self._cluster = cluster
        self._catalogue = catalogue
        self._whole = whole
        self._to_end = to_end
        self._served = served
        self._messages = messages
        self._history = history
        self._instead = instead
        self._alter = alter
        self._labels = labels
        self._on_progress = on_progress

    def retell(self) -> Iterator[Retold]:
        """Judge every partition of `counts` that speaks of the stretch."""
        likely = ranges.at_time(self._cluster, "counts", min(one.time for one in self._served) - _CLOCKS_MS_MAX)
        settled = progress.committed(self._cluster, "judge", "counts")
        for partition, (low, high) in ranges.bounds(self._cluster, "counts").items():
            end = settled[partition] if settled[partition] > low else high
            found = self._partition(partition, low, max(low, likely[partition]), end)
            if found is not None:
                yield found

    def _partition(self, partition: int, low: int, likely: int, end: int) -> Retold | None:
        judge = Judge(self._catalogue)
        start, begins = self._restore(judge, partition, low, likely)
        telling = _Telling(judge, self)
        retold: Retold | None = None
        for offset, time, value in _values(self._cluster, partition, start, end):
            if not offset % _TOLD_EVERY:
                self._on_progress(f"judging counts/{partition}", offset - start, end - start)
            message = _decode(value)
            if retold is None and not self.touches(message):
                judge.process(Block.of("counts", partition, [value]))
                self._labels.skip(message.model, time)
                continue
            if retold is None:
                begins = begins or f"counts/{partition}/{offset}, from nothing: what came before is gone"
                retold = Retold(partition, begins, time, [], telling.recorded, telling.recounted)
                retold.told += telling.begin(message, time)
            retold.told += telling.take(message, value, time)
            if not self._to_end and telling.over(message):
                break
        if retold is not None:
            retold.told += telling.finish()
        return retold

    def _restore(self, judge: Judge, partition: int, low: int, likely: int) -> tuple[int, str]:
        """Give the judge the state of the newest snapshot before the stretch; where to go on, and in words."""
        first, last = ranges.bounds(self._cluster, "snapshots")[partition]
        blocks = list(ranges.read(self._cluster, "snapshots", partition, first, last))
        found = snapshots.newest(blocks, "counts", partition, likely)
        if found and found[0] >= low:
            judge.restore(found[1])
            for (model, version), why in judge.suspended.items():
                raise ReplayError(f"{model} {version} was judged, and its reference cannot be used: {why}")
            return found[0], f"the snapshot at counts/{partition}/{found[0]}"
        return low, "" if low else "the beginning of the log"

    def watches(self, model: str, version: str) -> bool:
        """Whether a version has a reference, and so is counted."""
        try:
            self._catalogue(model, version)
        except Unwatched:
            return False
        return True

    def touches(self, message: CountsMessage) -> bool:
        """Whether a message counts requests of the stretch."""
        if not isinstance(message, PartialCounts) or message.topic != "requests":
            return False
        first, end = self._whole.get(message.partition, (0, 0))
        return first <= message.first and message.last < end


class _Telling:
    """One judge on its way through the stretch."""

    def __init__(self, judge: Judge, of: Judging) -> None:
        self._judge = judge
        self._of = of
        self._recount = Recount(of._catalogue, of._messages, of._instead, self._watch, self._reached)
        self.recorded, self.recounted = MinuteSums(), MinuteSums()
        self._partitions = 1
        self._models: set[str] = set()
        self._left: dict[tuple[str, str, int], int] = {}
        for one in of._served:
            if of.watches(one.head.model, one.head.version):
                key = (one.head.model, one.head.version, one.head.partition)
                self._left[key] = max(one.head.last, self._left.get(key, 0))

    def begin(self, message: CountsMessage, time: int) -> list[Publish]:
        """Announce the routes that hold here, where the judge does not know them or they are to be others."""
        told: list[Publish] = []
        newest = {route.model: route for route in self._of._history if route.ts <= time}
        for model in sorted({*self._judge.models, message.model} & set(newest)):
            route = newest[model]
            watched = self._judge.models.get(model)
            if watched is not None and watched.epoch:
                if self._of._alter is None:
                    continue
                known = next((r for r in self._of._history if (r.model, r.epoch) == (model, watched.epoch)), route)
                route = self._of._alter(msgspec.structs.replace(known, epoch=watched.epoch))
                watched.epoch -= 1  # so that the same epoch is news
            elif self._of._alter is not None:
                route = self._of._alter(route)
            told += self._process(msgspec.msgpack.encode(RouteCopy(model=model, route=route)))
        return told

    def take(self, message: CountsMessage, value: bytes, time: int) -> list[Publish]:
        """Judge a recorded message, or what stands in for it."""
        alter = self._of._alter
        if isinstance(message, PartialCounts) and self._of.touches(message):
            self._partitions = message.partitions
            self._models.add(message.model)
            again = self._recount(message)
            if alter is not None:
                return [said for one in again for said in self._process(one)]
            self.recorded.add(value)
            for one in again:
                self.recounted.add(one)
        elif isinstance(message, RouteCopy) and alter is not None:
            value = msgspec.msgpack.encode(RouteCopy(model=message.model, route=alter(message.route)))
        elif isinstance(message, LabelSums) and message.model in self._of._instead:
            sums = self._of._labels.until(message, time)
            return [said for one in sums for said in self._process(msgspec.msgpack.encode(one))]
        return self._process(value)

    def over(self, message: CountsMessage) -> bool:
        """Whether the last message of the stretch has been judged."""
        if isinstance(message, PartialCounts) and message.watermark_ms is not None:
            key = (message.model, message.version, message.partition)
            if message.last >= self._left.get(key, message.last + 1):
                del self._left[key]
        return not any(model in self._models for model, _, _ in self._left)

    def finish(self) -> list[Publish]:
        """Judge what was observed and stands at no recorded place: a version that was not counted then."""
        if self._of._alter is None:
            return []
        several = [one for model in sorted(self._models) for one in self._recount.rest(model, self._partitions)]
        return [said for one in several for said in self._process(one)]

    def _process(self, value: bytes) -> list[Publish]:
        return list(self._judge.process(Block.of("counts", 0, [value])).publish)

    def _watch(self, model: str) -> Watch:
        watched = self._judge.models.get(model)
        return watched.watch if watched is not None else Watch()

    def _reached(self, model: str, version: str, partition: int) -> int | None:
        watched = self._judge.models.get(model)
        return watched.furthest(version, "requests", partition) if watched is not None else None


def _values(cluster: Cluster, partition: int, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    for block in ranges.read(cluster, "counts", partition, start, end):
        for offset, time, value in zip(block.offsets, block.times, block.values, strict=True):
            yield offset, time, value or b""
