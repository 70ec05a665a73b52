"""The count stage: observations in, integer sums per minute of event time out.

Its only memory is, for each model version and source partition, the running maximum of event time. A row is late when
its window had closed, lateness included, by the maximum of its own version *before* that row, in offset order; so the
split of the observations into blocks changes nothing, nor does it matter that of one block the champion's rows come
before the shadow's.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np
import pyarrow as pa

from drift.cells.sums import sum_rows
from drift.counting.event_clock import EventClock
from drift.counting.event_clocks import EventClocks
from drift.counting.message_checks import check_observation
from drift.counting.minutes import count_minutes, parts
from drift.reference.catalogue import Catalogue, Unwatched
from drift.reference.reference import Reference
from streams.runtime.set_aside import SetAside
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish
from streams.wire.observation import Head
from streams.wire.records import CountsMessage, Idle, PartialCounts, Watch
from streams.wire.refusals import Refusal

#: What values that contradict the reference, or each other, lead to.
_CANNOT_BE_COUNTED = (ValueError, TypeError, LookupError, ArithmeticError, pa.ArrowException)


def count_rows(reference: Reference, batch: pa.RecordBatch | pa.Table) -> np.ndarray:
    """Count the rows of a batch in every cell, int64 flat, laid out as ``reference.counts``.

    ``batch`` has columns named as the reference's cells are: an observation block, or what `Reference.align` makes of
    a user's table.
    """
    return sum_rows(reference, batch).cells


class Count:
    """Counts the observations of one partition over the cells of their models' references.

    Parameters
    ----------
    catalogue
        Finds the reference of a model version.
    watch
        How a model is watched: its window and its lateness.
    partitions
        Partitions of the source topic, told to the judge for its watermark, where the observations do not say.
    clocks
        How far event time had come, by what the last commit left.
    set_aside
        Makes dead letters of what cannot be counted.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        watch: Callable[[str], Watch],
        partitions: int,
        clocks: EventClocks | None = None,
        set_aside: SetAside | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._watch = watch
        self._partitions = partitions
        self._set_aside = set_aside or SetAside("count")
        self.clocks = clocks or EventClocks(0)

    def process(self, block: Block) -> Effects:
        """Count each observation message; one that cannot be read or counted is a dead letter."""
        publish: list[Publish] = []
        for at, value in enumerate(block.values):
            refusal, model = None, ""
            try:
                head, batch = observation.decode(value or b"")
                model = head.model
                check_observation(head, batch)
                publish += self._count(head, batch)
            except observation.UnknownFormat as error:
                refusal = Refusal(at, "unknown_format", "$", str(error))
            except observation.FormatError as error:
                refusal = Refusal(at, "undecodable" if value else "empty", "$", str(error))
            except _CANNOT_BE_COUNTED as error:
                refusal = Refusal(at, "impossible_value", "$", f"{type(error).__name__}: {error}", model[:200])
            if refusal is not None:
                publish += self._set_aside(block, [refusal])
        memory, records = self.clocks.to_commit()
        return Effects([*publish, *records], memory)

    def _count(self, head: Head, batch: pa.RecordBatch) -> list[Publish]:
        if head.silence:
            asleep = head.silence == "asleep"
            return list(idle([head.model], head.topic, head.partition, head.partitions, asleep, head.at_ms).publish)
        if not (batch.num_rows or head.refused):
            return []
        try:
            reference = self._catalogue(head.model, head.version)
        except Unwatched:
            return []
        times = batch.column("ts").to_numpy()
        clock = self._clock(head)
        late, refused = clock.observe(times, batch.column("offset").to_numpy(), head.refused or ())
        segments = ("", *reference.segments) if batch.num_rows else ()
        minutes = [minute for name in segments for minute in count_minutes(reference, batch, times, late, name)]
        messages = [
            PartialCounts(
                model=head.model,
                version=head.version,
                reference=reference.id,
                topic=head.topic,
                partition=head.partition,
                first=head.first,
                last=head.last,
                partitions=head.partitions or self._partitions,
                watermark_ms=None,
                minutes=part,
            )
            for part in list(parts(minutes)) or [[]]
        ]
        # Only after its last part has the judge seen all that the watermark promises.
        messages[-1] = msgspec.structs.replace(
            messages[-1],
            watermark_ms=clock.reached,
            refused=refused,
            leaps=clock.leaps or msgspec.UNSET,
            behind=clock.behind or msgspec.UNSET,
        )
        published = [publication(message) for message in messages]
        if clock.reached is not None:  # and nothing is remembered of what cannot be counted
            self.clocks.reach(head.model, _source(head), head.version, clock.reached)
        return published

    def _clock(self, head: Head) -> EventClock:
        """The running maximum of event time that a block goes on from.

        Before the very first row there is none; its own time closes nothing.
        """
        return EventClock(self.clocks.reached(head.model, _source(head), head.version), self._watch(head.model))


def idle(
    models: Iterable[str],
    topic: str,
    partition: int,
    partitions: int,
    asleep: bool = False,
    at_ms: int | None = None,
) -> Effects:
    """Say that a source partition has fallen silent, or is ``asleep``, at a time, to the judge of each model.

    Parameters
    ----------
    models
        Models whose requests go through the partition.
    topic, partition
        The source, as observations name it.
    partitions
        How many the source topic has.
    asleep
        Whether it is silent for long.
    at_ms
        When that was seen, ms UTC; None where it is not known.

    >>> idle(["churn"], "requests", 3, 8).publish[0].key
    b'churn'
    """
    flags = [
        Idle(
            model=model,
            topic=topic,
            partition=partition,
            partitions=partitions,
            asleep=asleep,
            repeated=True,
            at_ms=at_ms,
        )
        for model in models
    ]
    return Effects([publication(flag) for flag in flags])


def publication(message: CountsMessage) -> Publish:
    """Put a message on `counts`, keyed by its model."""
    return Publish("counts", msgspec.msgpack.encode(message), key=message.model.encode())


def _source(head: Head) -> str:
    return f"{head.topic}/{head.partition}"
