"""Settlement by intents: for a store that is not part of Kafka's transactions (PROTOCOL, the sink).

A retried insert is recognised only when its boundaries are identical, so the boundaries are written down before it:

1. commit offset = first, with the intent ``{"until": last, "messages": n}`` as metadata;
2. one insert, with the token ``topic/partition/first-last``;
3. commit last + 1, metadata cleared.

Whoever finds an intent re-reads exactly those records and repeats the insert under the same token, which the
store takes for nothing. A zombie can only repeat an intended block.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence

import confluent_kafka as ck
import msgspec

from streams.block import Block
from streams.clock import ticks_ms
from streams.cluster import Cluster
from streams.stage import Effects

#: Writes a block under a token; raises if the store did not take it.
Write = Callable[[Block, str], None]
Commit = Callable[[list[ck.TopicPartition]], None]


class Intent(msgspec.Struct, frozen=True):
    """A block that is about to be inserted: up to which offset, how many records."""

    until: int
    messages: int


class CutLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a block is cut for the store: so many records wait, or their partition's last insert was so long ago."""

    rows_max: int = 20_000
    wait_ms_max: int = 500


class _Waiting(msgspec.Struct):
    """Records of one partition that are not in the store yet.

    One turn is folded while another settles, in two threads: the fold adds to ``came`` and touches nothing else.
    """

    inserted_ms: float
    intent: Intent | None = None
    came: deque[Block] = msgspec.field(default_factory=deque)
    blocks: list[Block] = []

    def gather(self) -> None:
        """Take what has come to what waits."""
        while self.came:
            self.blocks.append(self.came.popleft())

    @property
    def rows(self) -> int:
        return sum(len(block) for block in self.blocks)

    def whole(self) -> Block:
        """What waits, as one block; something must."""
        self.blocks = [Block.joined(self.blocks)]
        return self.blocks[0]

    def drop(self, rows: int) -> None:
        """The first ones are in the store."""
        rest = self.whole()[rows:]
        self.blocks = [rest] if len(rest) else []
        self.inserted_ms = ticks_ms()


class IntentStep:
    """A step that gathers records and settles them with a store by intents. Call `settle` with the shell's settlement.

    Parameters
    ----------
    cluster
        For topic names.
    write
        The insert.
    order
        Topics, the most urgent first: what is due of several is inserted in this order.
    """

    def __init__(
        self, cluster: Cluster, write: Write, limits: CutLimits | None = None, order: Sequence[str] = ()
    ) -> None:
        self._cluster = cluster
        self._write = write
        self._limits = limits or CutLimits()
        self._rank = {topic: n for n, topic in enumerate(order)}
        self._waiting: dict[tuple[str, int], _Waiting] = {}

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:  # noqa: ARG002
        """Begin a partition; an intent in its metadata is kept for the first cut."""
        intent = msgspec.json.decode(memory, type=Intent) if memory else None
        self._waiting[topic, partition] = _Waiting(ticks_ms(), intent)

    def revoke(self, topic: str, partition: int) -> None:
        """Forget what waits: it is not committed, and whoever comes next reads it again."""
        self._waiting.pop((topic, partition), None)

    def fold(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Gather."""
        for block in blocks:
            self._waiting[block.topic, block.partition].came.append(block)
        return [Effects() for _ in blocks]

    def idle(self, topic: str, partition: int, after_ms: int) -> Effects:  # noqa: ARG002
        """Nobody asks."""
        return Effects()

    def settle(self, commit: Commit) -> int:
        """Insert what is due; returns the records inserted.

        ``commit`` commits offsets with their metadata, synchronously. What the store raises is raised: the shell then
        reads again, and the intent that stands says what to repeat.
        """
        inserted = 0
        while (found := self._most_urgent()) is not None:
            place, waiting, cut = found
            self._insert(place, cut, commit, planned=waiting.intent is not None)
            waiting.intent = None
            inserted += len(cut)
            waiting.drop(len(cut))
        return inserted

    def _most_urgent(self) -> tuple[tuple[str, int], _Waiting, Block] | None:
        """What is to be inserted next; it may have come while others were being inserted."""
        for place, waiting in sorted(self._waiting.items(), key=lambda one: self._rank.get(one[0][0], len(self._rank))):
            waiting.gather()
            cut = self._due(waiting)
            if cut is not None:
                return place, waiting, cut
        return None

    def _due(self, waiting: _Waiting) -> Block | None:
        if not waiting.blocks:
            return None
        if waiting.intent is not None:
            return self._planned(waiting, waiting.intent)
        old = ticks_ms() - waiting.inserted_ms >= self._limits.wait_ms_max
        if not old and waiting.rows < self._limits.rows_max:
            return None
        return waiting.whole()[0 : self._limits.rows_max]

    def _planned(self, waiting: _Waiting, intent: Intent) -> Block | None:
        block = waiting.whole()
        if block.last < intent.until and len(block) < intent.messages:
            return None  # not re-read to its end yet
        cut = block[0 : intent.messages]
        if cut.last != intent.until:
            raise ValueError(
                f"{block.topic}/{block.partition}: the intent names {intent.messages} records up to offset "
                f"{intent.until}, the log holds other ones (up to {cut.last}); was the topic truncated or recreated?"
            )
        return cut

    def _insert(self, place: tuple[str, int], cut: Block, commit: Commit, planned: bool) -> None:
        topic = self._cluster.topic(place[0])
        if not planned:
            said = json.dumps({"until": cut.last, "messages": len(cut)})
            commit([ck.TopicPartition(topic, place[1], cut.first, metadata=said)])  # 1. What will be done.
        self._write(cut, f"{topic}/{place[1]}/{cut.first}-{cut.last}")  # 2. It is done, once or again.
        commit([ck.TopicPartition(topic, place[1], cut.last + 1, metadata="")])  # 3. It was done.
