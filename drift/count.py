"""The count stage: observations in, integer sums per minute of event time out.

Its only memory is, for each model and source partition, the running maximum of event time. A row is late when its
window had closed, lateness included, by the maximum *before* that row, in offset order; so the split of the
observations into blocks changes nothing.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np
import pyarrow as pa

from drift.catalogue import Catalogue, Unwatched
from drift.minutes import count_minutes, parts
from drift.reference import Reference
from drift.sums import sum_rows
from streams import observation
from streams.block import Block
from streams.codec import Refusal
from streams.dead_letters import dead_letter
from streams.observation import Head
from streams.records import CountsMessage, Idle, PartialCounts, Watch
from streams.stage import Effects, Publish

#: Kafka keeps no more beside an offset.
MEMORY_BYTES_MAX = 4096

#: Running maxima of event time: model -> source "topic/partition" -> ms.
Maxima = dict[str, dict[str, int]]


class MemoryFull(RuntimeError):
    """More models share an observations partition than an offset's metadata can remember."""


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
        Partitions of the source topic, told to the judge for its watermark.
    memory
        What the last settlement left.
    """

    def __init__(self, catalogue: Catalogue, watch: Callable[[str], Watch], partitions: int, memory: str = "") -> None:
        self._catalogue = catalogue
        self._watch = watch
        self._partitions = partitions
        self.maxima: Maxima = msgspec.json.decode(memory, type=Maxima) if memory else {}

    def fold(self, block: Block) -> Effects:
        """Count each observation message; one that cannot be read is a dead letter.

        Raises
        ------
        MemoryFull
            Too many models on one partition.
        """
        publish: list[Publish] = []
        for at, value in enumerate(block.values):
            try:
                head, batch = observation.decode(value or b"")
            except observation.FormatError as error:
                publish.append(dead_letter(block, Refusal(at, "undecodable", "$", str(error)), "count"))
                continue
            publish += self._count(head, batch)
        return Effects(publish, self._memory())

    def _count(self, head: Head, batch: pa.RecordBatch) -> list[Publish]:
        if not batch.num_rows:
            return []
        try:
            reference = self._catalogue(head.model, head.version)
        except Unwatched:
            return []
        times = batch.column("ts").to_numpy()
        late = self._late(head, times)
        segments = ("", *reference.segments)
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
                partitions=self._partitions,
                watermark_ms=None,
                minutes=part,
            )
            for part in parts(minutes)
        ]
        # Only after its last part has the judge seen all that the watermark promises.
        messages[-1] = msgspec.structs.replace(messages[-1], watermark_ms=self.maxima[head.model][_source(head)])
        return [publication(message) for message in messages]

    def _late(self, head: Head, times: np.ndarray) -> np.ndarray:
        """Which rows came after their window had closed, bool [rows]; moves the running maximum on."""
        watch = self._watch(head.model)
        maxima = self.maxima.setdefault(head.model, {})
        # Before the very first row there is no maximum; its own time closes nothing.
        known = maxima.get(_source(head), int(times[0]))
        running = np.maximum.accumulate(np.concatenate([[known], times]))
        maxima[_source(head)] = int(running[-1])
        ends = (times // watch.window_ms + 1) * watch.window_ms
        late: np.ndarray = ends + watch.lateness_ms_max <= running[:-1]
        return late

    def _memory(self) -> str:
        memory = msgspec.json.encode(self.maxima).decode()
        if len(memory) > MEMORY_BYTES_MAX:
            raise MemoryFull(
                f"{len(self.maxima)} models share one partition of observations, and {len(memory)} bytes of event "
                f"times do not fit the {MEMORY_BYTES_MAX} of an offset; give some models a prefix of their own"
            )
        return memory


def idle(models: Iterable[str], topic: str, partition: int, partitions: int, asleep: bool = False) -> Effects:
    """Say that a source partition has fallen silent, or is ``asleep``, to the judge of each model.

    >>> idle(["churn"], "requests", 3, 8).publish[0].key
    b'churn'
    """
    flags = [
        Idle(model=model, topic=topic, partition=partition, partitions=partitions, asleep=asleep) for model in models
    ]
    return Effects([publication(flag) for flag in flags])


def publication(message: CountsMessage) -> Publish:
    """Put a message on `counts`, keyed by its model."""
    return Publish("counts", msgspec.msgpack.encode(message), key=message.model.encode())


def _source(head: Head) -> str:
    return f"{head.topic}/{head.partition}"
