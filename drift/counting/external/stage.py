"""The watch stage: records of somebody else's topic in; observations and feedback out."""

from collections.abc import Sequence

import msgspec

from drift.counting.external.reader import RecordReader
from streams.formats.untyped import UntypedReader
from streams.runtime.set_aside import SetAside
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish
from streams.wire.observation import Head, Silence, encode, nothing, split
from streams.wire.refusals import Refusal, Refused

STAGE = "watch"


class ExternalTopics:
    """Watches a topic; it remembers nothing from block to block.

    Parameters
    ----------
    readers
        What is looked for in each record.
    read
        Reads a record as a plain object.
    partitions, observations
        Partitions of the topic as far as they are known (see `resize`), and of `observations`.
    set_aside
        Makes dead letters of what cannot be read.
    """

    def __init__(
        self,
        readers: Sequence[RecordReader],
        read: UntypedReader,
        partitions: int,
        observations: int,
        set_aside: SetAside | None = None,
    ) -> None:
        self._set_aside = set_aside or SetAside(STAGE)
        self._readers = readers
        self._read = read
        self._partitions = partitions
        self._observations = observations
        self._gone: set[int] = set()
        self._untold: list[int] = []

    def resize(self, partitions: int) -> None:
        """Learn how many partitions the topic has now.

        A topic that was made again with fewer leaves partitions behind that nobody hears of any more; the judge is told
        with the next block that they are asleep, and does not wait for them.
        """
        self._gone = (self._gone | set(range(self._partitions))) - set(range(partitions))
        self._untold = sorted(self._gone)
        self._partitions = partitions

    def process(self, block: Block) -> Effects:
        """Make observations of predictions and feedback of labels; what cannot be read is a dead letter.

        A record without a value is passed over: on a compacted topic it says that a key is gone.

        Raises
        ------
        RegistryAway
            The block should come again.
        """
        self._read.begin()
        for reader in self._readers:
            reader.begin()
        refused: list[Refusal] = []
        for at, value in enumerate(block.values):
            if value is None:
                continue
            try:
                self._look(block, at, value)
            except Refused as why:
                refused.append(why.at(at))
        seen = [message for reader in self._readers for message in self._seen(reader, block)]
        labels = [message for reader in self._readers for message in reader.labels()]
        untold, self._untold = self._untold, []
        asleep = [message for partition in untold for message in self.silence(block.topic, partition, "asleep").publish]
        return Effects([*seen, *asleep, *labels, *self._set_aside(block, refused)])

    def _look(self, block: Block, at: int, value: bytes) -> None:
        try:
            record = self._read(value)
        except Refused as why:
            for reader in self._readers:
                reader.refuse(block, why.at(at), None)
            raise
        for reader in self._readers:
            try:
                reader.read(block, at, record)
            except Refused as why:
                reader.refuse(block, why.at(at), record)
                raise

    def _seen(self, reader: RecordReader, block: Block) -> list[Publish]:
        batch = reader.batch(block)
        if batch is None and not reader.refused:
            return []
        head = self._head(reader, block.topic, block.partition, block.first, block.last)
        head, batch = msgspec.structs.replace(head, refused=reader.refused or None), batch or nothing()
        return [self._publication(block.partition, value) for _, value in split(head, batch)]

    def silence(self, topic: str, partition: int, silence: Silence, at_ms: int | None = None) -> Effects:
        """Say behind all observations so far that a partition has fallen silent, at a time.

        Parameters
        ----------
        silence
            Whether nothing comes for the moment, or for long.
        at_ms
            When that was seen, ms UTC; None where it is not known.
        """
        heads = [
            self._head(reader, topic, partition, 0, 0, silence, at_ms)
            for reader in self._readers
            if reader.mapping.predicts
        ]
        return Effects([self._publication(partition, encode(head, nothing())) for head in heads])

    def _head(
        self,
        reader: RecordReader,
        topic: str,
        partition: int,
        first: int,
        last: int,
        silence: Silence = "",
        at_ms: int | None = None,
    ) -> Head:
        return Head(
            model=reader.mapping.model,
            version=reader.mapping.version,
            topic=topic,
            partition=partition,
            first=first,
            last=last,
            partitions=self._partitions,
            silence=silence,
            at_ms=at_ms,
        )

    def _publication(self, partition: int, value: bytes) -> Publish:
        return Publish("observations", value, partition=partition % self._observations)
