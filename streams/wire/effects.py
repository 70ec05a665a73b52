"""What a block led to: messages that should leave, and the memory that travels with the offset."""

from collections.abc import Sequence

import msgspec

Headers = list[tuple[str, bytes]]


class Publish(msgspec.Struct, frozen=True, gc=False):
    """One message that should leave. It holds no cycles, and the collector need not walk thousands of them.

    ``topic`` is a name of `streams.kafka.topics` (no prefix). ``partition`` is set where the design wants the
    source's number; else the key decides. ``at`` is the record of the block that it answers, by its place in the
    block, where it answers one: if the message is too large for Kafka, that record is the dead letter.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: Headers | None = None
    at: int | None = None


class Effects(msgspec.Struct, frozen=True):
    """What a block led to: messages, and up to 4 kB of memory that travels in the offset commit (PROTOCOL: no
    other state survives a stage).
    """

    publish: Sequence[Publish] = ()
    memory: str = ""


def with_more(effects: Effects, publish: Sequence[Publish]) -> Effects:
    """The same effects with further messages that leave in the same transaction.

    >>> len(with_more(Effects([Publish("a", b"1")], "m"), [Publish("b", b"2")]).publish)
    2
    """
    return Effects([*effects.publish, *publish], effects.memory) if publish else effects
