"""What a stage is, and what it may ask for.

A stage turns blocks into effects. It knows no Kafka, reads no clock and opens no socket, so it is tested with
lists, and a replay is the same object fed from a closed range. One instance serves one input partition.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from streams.wire.block import Block
from streams.wire.effects import Effects


class Stage(Protocol):
    """Processes blocks of one partition: the same records give the same sums, whatever the split."""

    def process(self, block: Block) -> Effects: ...


class Stateful(Stage, Protocol):
    """A stage with more state than an offset's metadata holds; it is restored by its newest snapshot and what came
    after it."""

    def snapshot(self) -> bytes: ...

    def restore(self, snapshot: bytes) -> None: ...


#: Work that takes less is better done at once: threads that change hold each other up for some milliseconds.
OVERLAP_FROM_MS = 10.0


class Work(ABC):
    """What is left to do for a micro-batch that somebody else computes: a device, or cores that Python does not hold.

    While one micro-batch computes, the step's thread begins the next one and finishes the one before.
    """

    @abstractmethod
    def compute(self) -> None:
        """Do it, in a thread of its own, after that of the micro-batch before."""

    @abstractmethod
    def finish(self) -> Sequence[Effects]:
        """Make the effects, in the step's thread; those of one micro-batch after those of the one before."""


class Step:
    """What an agent runs: all blocks that wait, in; one `Effects` a block, out. Most steps are `PerPartition`.

    A step that keeps nothing for a partition overrides `process` alone.
    """

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:
        """Begin a partition anew; whatever was kept for it is forgotten.

        Parameters
        ----------
        topic, partition
            Which, by its logical name.
        position
            Offset of the next record.
        memory
            What the last commit left.

        Raises
        ------
        Away
            Something that it needs does not answer: assign again.
        """

    def revoke(self, topic: str, partition: int) -> None:
        """Forget a partition; somebody else may have it."""

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects] | Work:
        """Process blocks; their effects are committed with the offsets behind the blocks. Or begin to: see `Work`."""
        raise NotImplementedError

    def committed(self, blocks: Sequence[Block]) -> None:
        """Take note that the effects of blocks are visible. Called in the event loop, so it has to be short."""

    def dropped(self, blocks: Sequence[Block]) -> None:
        """Take note that blocks which were processed were not committed. Called in the event loop."""

    def idle(self, topic: str, partition: int) -> Effects:  # noqa: ARG002
        """Answer to a partition in which nothing comes at the moment; effects without a message are not committed."""
        return Effects()

    def asleep(self, topic: str, partition: int) -> Effects:  # noqa: ARG002
        """Answer to a partition that has been idle for long; it is told again as time goes by."""
        return Effects()


class StageFactory(Protocol):
    """Makes the stage of one partition from the memory that its last commit left."""

    def __call__(self, topic: str, partition: int, memory: str) -> Stage: ...


#: What to publish for a silent partition.
OnSilence = Callable[[str, int], Effects]


class PerPartition(Step):
    """A step that keeps one stage a partition.

    Parameters
    ----------
    factory
        Makes a stage.
    idle, asleep
        What to publish for partitions that are.

    >>> from streams.wire.effects import Publish
    >>> class Length:
    ...     def process(self, block):
    ...         return Effects([Publish("counts", str(len(block)).encode())])
    >>> step = PerPartition(lambda topic, partition, memory: Length())
    >>> step.assign("requests", 0, 0, "")
    >>> [e.publish[0].value for e in step.process([Block.of("requests", 0, [b"a", b"b"])])]
    [b'2']
    """

    def __init__(self, factory: StageFactory, idle: OnSilence | None = None, asleep: OnSilence | None = None) -> None:
        self._factory = factory
        self._idle = idle
        self._asleep = asleep
        self.stages: dict[tuple[str, int], Stage] = {}
        self._memory: dict[tuple[str, int], str] = {}

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:  # noqa: ARG002
        """See `Step.assign`."""
        self._memory[topic, partition] = memory
        self.stages[topic, partition] = self._factory(topic, partition, memory)

    def revoke(self, topic: str, partition: int) -> None:
        """Forget a partition."""
        self.stages.pop((topic, partition), None)

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Process each block by its partition's stage."""
        processed = [self.stages[block.topic, block.partition].process(block) for block in blocks]
        self._memory |= {(b.topic, b.partition): effects.memory for b, effects in zip(blocks, processed, strict=True)}
        return processed

    def idle(self, topic: str, partition: int) -> Effects:
        """Publish what the step was made with for idle partitions."""
        return self._answer(self._idle, topic, partition)

    def asleep(self, topic: str, partition: int) -> Effects:
        """Publish what the step was made with for partitions that are asleep."""
        return self._answer(self._asleep, topic, partition)

    def _answer(self, answer: OnSilence | None, topic: str, partition: int) -> Effects:
        if answer is None:
            return Effects()
        return Effects(answer(topic, partition).publish, self._memory[topic, partition])
