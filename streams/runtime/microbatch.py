"""Micro-batches: what the consumer reads at once and hands over.

A micro-batch is in flight from the moment at which it is handed over until it is left. It is a context manager, so
that every way out of it, an exception and a cancelled task too, counts it out of flight once.
"""

from itertools import chain
from typing import Any, NamedTuple, Protocol, Self

from streams.wire.block import Block


class Silence(NamedTuple):
    """A partition that is idle, or ``asleep``, and has nothing more to read after the offset ``last``.

    Its effects are committed with that offset, which was committed before: so the group fences a member that
    publishes them for a partition that has gone to another.
    """

    topic: str
    partition: int
    asleep: bool
    last: int


class InFlight(Protocol):
    """Who counts what is in flight (`streams.runtime.handover.HandOver`)."""

    @property
    def epoch(self) -> int:
        """Grows with each rewind; what was handed over in an older epoch is dropped."""
        ...

    def left(self) -> None:
        """One thing is no longer in flight."""
        ...

    def rewind(self) -> None:
        """Drop everything in flight and read again from what is committed."""
        ...

    def prepared(self, since_ms: float) -> None:
        """A micro-batch, in flight since then, is begun; what is left is to compute it and to finish it."""
        ...

    def computing(self) -> None:
        """The newest micro-batch computes now."""
        ...

    def computed(self) -> None:
        """It is computed."""
        ...

    def processed(self, since_ms: float) -> None:
        """A micro-batch that has been in flight since then is processed."""
        ...

    def committing(self) -> None:
        """The oldest micro-batch begins to commit."""
        ...


class Flight:
    """Something in flight; leaving it counts it out, once."""

    __slots__ = ("_in_flight", "_left")

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._left:
            self._left = True
            self._in_flight.left()


class MicroBatch(Flight):
    """Blocks that were waiting, and partitions that have fallen silent.

    Parameters
    ----------
    in_flight
        Who counts it.
    blocks, idle
        One block a partition; partitions that are silent.
    epoch
        In which it was read.
    membership
        The group metadata that a transaction sends with the offsets.
    since_ms
        Since when it has been in flight, by the clock of ``in_flight``.
    """

    __slots__ = ("_since_ms", "blocks", "epoch", "idle", "membership")

    def __init__(
        self,
        in_flight: InFlight,
        blocks: list[Block],
        idle: list[Silence],
        epoch: int = 0,
        membership: Any = None,
        since_ms: float = 0.0,
    ) -> None:
        super().__init__(in_flight)
        self.blocks = blocks
        self.idle = idle
        self.epoch = epoch
        self.membership = membership
        self._since_ms = since_ms

    @property
    def dropped(self) -> bool:
        """Whether it was rewound over: its records are read again, and nothing of it may be committed."""
        return self.epoch != self._in_flight.epoch

    def times(self) -> list[int]:
        """Kafka's timestamps of all records, ms."""
        return list(chain.from_iterable(block.times for block in self.blocks))

    def prepared(self) -> None:
        """Note that the step has begun with it."""
        self._in_flight.prepared(self._since_ms)

    def computing(self) -> None:
        """Note that it computes now."""
        self._in_flight.computing()

    def computed(self) -> None:
        """Note that it is computed."""
        self._in_flight.computed()

    def processed(self) -> None:
        """Note that the step is through with it."""
        self._in_flight.processed(self._since_ms)

    def committing(self) -> None:
        """Note that its commit begins."""
        self._in_flight.committing()

    def rewind(self) -> None:
        """Drop it and everything else in flight; all of it is read again."""
        self._in_flight.rewind()
