"""What a stage is, and what it may ask for.

A stage folds blocks into effects. It knows no Kafka, reads no clock and opens no socket, so it is tested with
lists, and a replay is the same object fed from a closed range. One instance serves one input partition.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from streams.wire.block import Block
from streams.wire.effects import Effects


class Stage(Protocol):
    """Folds blocks of one partition: the same records give the same sums, whatever the split."""

    def fold(self, block: Block) -> Effects: ...


class Stateful(Stage, Protocol):
    """A stage with more state than an offset's metadata holds; it is restored by its newest snapshot and a refold."""

    def snapshot(self) -> bytes: ...

    def restore(self, snapshot: bytes) -> None: ...


class Step(Protocol):
    """What a shell runs: all blocks that wait, in; one `Effects` a block, out. Most steps are `PerPartition`.

    `fold` may return an awaitable of its effects, where it waits for somebody else's work. The event loop awaits it, so
    what it does itself between two awaits has to be short.

    ``position`` is the offset of the next record; ``memory`` what the last commit left. `idle` is asked when a
    partition has been silent for so long, once for each length in the feed's limits; its effects are settled like any
    others, so their memory is the partition's.
    """

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None: ...

    def revoke(self, topic: str, partition: int) -> None: ...

    def fold(self, blocks: Sequence[Block]) -> Sequence[Effects] | Awaitable[Sequence[Effects]]: ...

    def idle(self, topic: str, partition: int, after_ms: int) -> Effects: ...


class StageFactory(Protocol):
    """Makes the stage of one partition from the memory that its last commit left."""

    def __call__(self, topic: str, partition: int, memory: str) -> Stage: ...


class PerPartition:
    """A step that keeps one stage a partition.

    >>> from streams.wire.effects import Publish
    >>> class Length:
    ...     def fold(self, block):
    ...         return Effects([Publish("counts", str(len(block)).encode())])
    >>> step = PerPartition(lambda topic, partition, memory: Length())
    >>> step.assign("requests", 0, 0, "")
    >>> [e.publish[0].value for e in step.fold([Block.of("requests", 0, [b"a", b"b"])])]
    [b'2']
    """

    def __init__(self, factory: StageFactory, idle: Callable[[str, int, int], Effects] | None = None) -> None:
        self._factory = factory
        self._idle = idle
        self.stages: dict[tuple[str, int], Stage] = {}
        self._memory: dict[tuple[str, int], str] = {}

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:  # noqa: ARG002
        """Begin a partition anew; whatever its former stage held is forgotten."""
        self._memory[topic, partition] = memory
        self.stages[topic, partition] = self._factory(topic, partition, memory)

    def revoke(self, topic: str, partition: int) -> None:
        """Forget a partition."""
        self.stages.pop((topic, partition), None)

    def fold(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Fold each block by its partition's stage."""
        folded = [self.stages[block.topic, block.partition].fold(block) for block in blocks]
        self._memory |= {(b.topic, b.partition): effects.memory for b, effects in zip(blocks, folded, strict=True)}
        return folded

    def idle(self, topic: str, partition: int, after_ms: int) -> Effects:
        """Say that a partition is silent, where anyone wants to know."""
        if self._idle is None:
            return Effects()
        return Effects(self._idle(topic, partition, after_ms).publish, self._memory[topic, partition])
