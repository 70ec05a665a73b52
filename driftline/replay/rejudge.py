"""The recorded counts judged again, from the state that the judge had where the stretch begins.

Counts of several partitions lie among one another, so "where the stretch begins" is the first message of `counts` that
speaks of one of its requests; the state there is the newest snapshot before it, and the recorded messages between.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from drift.judge.stage import Judge
from drift.reference.catalogue import Catalogue
from driftline.progress import OnProgress
from driftline.replay.extent import Extent
from driftline.replay.judge_log import JudgeLog
from driftline.replay.overrides import Change, ReplayError
from driftline.replay.recording import Recording
from driftline.replay.recount import MinuteSums, Recount
from driftline.replay.relabel import Relabelled
from driftline.replay.served import Observed
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.records import CountsMessage, LabelSums, PartialCounts, Route, RouteCopy, Watch

#: A bar moves once in so many messages.
_PROGRESS_EVERY = 200

_decode = msgspec.msgpack.Decoder(CountsMessage).decode


class Rejudged(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge of one partition of `counts` says of a stretch.

    Attributes
    ----------
    begins
        Where its state comes from, in words.
    since_ms
        Kafka's time of the first message judged.
    published
        What it published.
    recorded, recounted
        Sums as they were counted then and now; empty where something was to be otherwise.
    """

    log: JudgeLog
    begins: str
    since_ms: int
    published: list[Publish]
    recorded: MinuteSums
    recounted: MinuteSums


class Rejudging:
    """One judge on its way through the stretch.

    Parameters
    ----------
    log, recording
        The partition of `counts` that it judges, and all else that is known of the stretch.
    catalogue
        Finds references.
    change, instead
        What is to be otherwise; nothing where both are empty.
    replayed
        Observations as they were scored again, with their bytes.
    labels
        Makes label sums for answers that were not given then.
    """

    def __init__(
        self,
        log: JudgeLog,
        recording: Recording,
        catalogue: Catalogue,
        *,
        change: Change,
        instead: Mapping[str, str],
        replayed: Sequence[tuple[Observed, bytes]],
        labels: Relabelled,
    ) -> None:
        self._log = log
        self._recording = recording
        self._change = change
        self._instead = instead
        self._labels = labels
        self._judge = Judge(catalogue)
        self._recount = Recount(catalogue, replayed, instead, self._watch, self._reached)
        self._recorded, self._recounted = MinuteSums(), MinuteSums()
        self._extent = Extent(recording, catalogue)
        self._partitions = 1
        self._at_ms = 0  # Kafka's time of the record that is judged

    def run(self, on_progress: OnProgress) -> Rejudged | None:
        """Judge the partition; None where it does not speak of the stretch."""
        log, since_ms = self._log, None
        begins = self._restore()
        published: list[Publish] = []
        for offset, time, value in _records(log):
            if not offset % _PROGRESS_EVERY:
                on_progress(f"judging counts/{log.partition}", offset - log.start, log.end - log.start)
            message, self._at_ms = _decode(value), time
            if since_ms is None and not self._extent.touches(message):
                self._process(value)
                self._labels.skip(message.model, time)
                continue
            if since_ms is None:
                begins = begins or f"counts/{log.partition}/{offset}, from nothing: what came before is gone"
                since_ms = time
                published += self._begin(message, time)
            published += self._judge_recorded(message, value, time)
            self._extent.observe(message)
            if self._extent.is_over and not self._recording.to_end:
                break
        if since_ms is None:
            return None
        return Rejudged(
            log=log,
            begins=begins,
            since_ms=since_ms,
            published=published + self._rest(),
            recorded=self._recorded,
            recounted=self._recounted,
        )

    def _restore(self) -> str:
        """Take the judge's state from the snapshot; returns where it is from, in words, if that is known by now."""
        if self._log.snapshot is None:
            return "" if self._log.start else "the beginning of the log"
        self._judge.restore(self._log.snapshot)
        for (model, version), why in self._judge.suspended.items():
            raise ReplayError(f"{model} {version} was judged, and its reference cannot be used: {why}")
        return f"the snapshot at counts/{self._log.partition}/{self._log.start}"

    def _begin(self, message: CountsMessage, time: int) -> list[Publish]:
        """Announce the routes that hold here, where the judge does not know them or they are to be others."""
        published: list[Publish] = []
        routes = self._recording.routes
        newest = {route.model: route for route in routes if route.ts <= time}
        for model in sorted({*self._judge.models, message.model} & set(newest)):
            state, route = self._judge.models.get(model), newest[model]
            epoch = 0 if state is None else state.epoch
            if epoch and self._change.as_served:
                continue
            if epoch:
                held = next((r for r in routes if (r.model, r.epoch) == (model, epoch)), route)
                route = msgspec.structs.replace(held, epoch=epoch)
            published += self._judge.reroute(self._altered(route))
        return published

    def _judge_recorded(self, message: CountsMessage, value: bytes, time: int) -> list[Publish]:
        """Judge a recorded message, or what stands in for it."""
        if isinstance(message, PartialCounts) and self._extent.touches(message):
            return self._take_counts(message, value)
        if isinstance(message, RouteCopy) and not self._change.as_served:
            value = msgspec.msgpack.encode(RouteCopy(model=message.model, route=self._altered(message.route)))
        elif isinstance(message, LabelSums) and message.model in self._instead:
            return self._process(*map(msgspec.msgpack.encode, self._labels.until(message, time)))
        return self._process(value)

    def _take_counts(self, message: PartialCounts, value: bytes) -> list[Publish]:
        self._partitions = message.partitions
        recounted = self._recount(message)
        if not self._change.as_served:
            return self._process(*recounted)
        self._recorded.add(value)
        for counts in recounted:
            self._recounted.add(counts)
        return self._process(value)

    def _rest(self) -> list[Publish]:
        """Judge what was observed and stands at no recorded place: a version that was not counted then."""
        if self._change.as_served:
            return []
        return self._process(
            *(value for model in self._extent.models for value in self._recount.rest(model, self._partitions))
        )

    def _process(self, *values: bytes) -> list[Publish]:
        """Judge messages one by one."""
        blocks = (Block.of("counts", 0, [value], time=self._at_ms) for value in values)
        return [message for block in blocks for message in self._judge.process(block).publish]

    def _altered(self, route: Route) -> Route:
        return route if self._change.as_served else self._change.alter(route, self._instead)

    def _watch(self, model: str) -> Watch:
        state = self._judge.models.get(model)
        return Watch() if state is None else state.watch

    def _reached(self, model: str, version: str, partition: int) -> int | None:
        state = self._judge.models.get(model)
        return None if state is None else state.furthest(version, "requests", partition)


def _records(log: JudgeLog) -> Iterator[tuple[int, int, bytes]]:
    """Offset, Kafka time and value of each record of `counts`."""
    for block in log.counts:
        for offset, time, value in zip(block.offsets, block.times, block.values, strict=True):
            yield offset, time, value or b""
