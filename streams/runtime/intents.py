"""Commits by intents: for a store that is not part of Kafka's transactions (PROTOCOL, the sink).

A retried insert is recognised only when its boundaries are identical, so the boundaries are written down before it:

1. commit offset = first, with the intent ``{"until": last, "messages": n}`` as metadata;
2. one insert, with the token ``topic/partition/first-last``;
3. commit last + 1, metadata cleared.

Whoever finds an intent re-reads exactly those records and repeats the insert under the same token, which the
store takes for nothing. A zombie can only repeat an intended block.

Records that can never be stored leave as dead letters in one transaction with step 1, and the intent says how many
they are: whoever finds it knows that they have left. Which records those are is decided by the records alone, so a
repeated block leaves out the same ones.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import confluent_kafka as ck
import msgspec

from streams.clock import ticks_ms
from streams.kafka.cluster import Cluster
from streams.runtime.consumer import BatchConsumer
from streams.runtime.handover import Stuck
from streams.runtime.pipeline import Commit
from streams.runtime.stage import Step
from streams.runtime.transactions import Processed, TransactionalProducer
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish

#: Dead letters that leave with one intent, and bytes of their values, at the most: a transaction must end in time.
LETTERS_MAX = 500
LETTER_BYTES_MAX = 4_000_000


class Prepared(Protocol):
    """A block made ready for the store, or for the dead letters; made of the same records it is the same again."""

    @property
    def letters(self) -> Sequence[Publish]:
        """Dead letters of what can never be stored, in the order of the block; `Publish.at` says whose each is."""

    def write(self, token: str) -> None:
        """Insert the rest under a token; raises if the store did not take it, and may then be called again."""

    def tell(self) -> None:
        """Count and log what was set aside; called once the block is committed, so not again where it is repeated."""


Prepare = Callable[[Block], Prepared]
CommitOffsets = Callable[[list[ck.TopicPartition]], None]
#: Publishes letters and commits one offset, with the metadata that it has, together.
Announce = Callable[[Sequence[Publish], ck.TopicPartition], None]


class Intent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A block that is about to be inserted: up to which offset, how many records, how many of them were set aside."""

    until: int
    messages: int
    letters: int = 0


class CutLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a block is cut for the store: so many records wait, or their partition's last insert was so long ago."""

    rows_max: int = 20_000
    wait_ms_max: int = 500


class _Waiting(msgspec.Struct):
    """Records of one partition that are not in the store yet.

    One micro-batch is processed while another commits, in two threads: processing only adds to ``came``.
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

    def drop(self, rows: int, now_ms: float) -> None:
        """The first ones are in the store."""
        rest = self.whole()[rows:]
        self.blocks = [rest] if len(rest) else []
        self.inserted_ms = now_ms


class IntentStep(Step):
    """A step that gathers records and commits them with a store by intents; see `by_intents`.

    Parameters
    ----------
    cluster
        For topic names.
    prepare
        Makes a block ready; raises where the store has to be asked and does not answer.
    order
        Topics, the most urgent first: what is due of several is inserted in this order.
    clock
        Monotonic time, ms.
    """

    def __init__(
        self,
        cluster: Cluster,
        prepare: Prepare,
        limits: CutLimits | None = None,
        order: Sequence[str] = (),
        clock: Callable[[], float] = ticks_ms,
    ) -> None:
        self._clock = clock
        self._cluster = cluster
        self._prepare = prepare
        self._limits = limits or CutLimits()
        self._rank = {topic: n for n, topic in enumerate(order)}
        self._waiting: dict[tuple[str, int], _Waiting] = {}

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:  # noqa: ARG002
        """See `Step.assign`; an intent in its metadata is kept for the first cut."""
        intent = msgspec.json.decode(memory, type=Intent) if memory else None
        self._waiting[topic, partition] = _Waiting(self._clock(), intent)

    def revoke(self, topic: str, partition: int) -> None:
        """Forget what waits: it is not committed, and whoever comes next reads it again."""
        self._waiting.pop((topic, partition), None)

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Gather."""
        for block in blocks:
            self._waiting[block.topic, block.partition].came.append(block)
        return [Effects() for _ in blocks]

    def commit(self, commit_offsets: CommitOffsets, announce: Announce) -> int:
        """Insert what is due; returns the records that were inserted or set aside.

        ``commit_offsets`` commits offsets with their metadata, synchronously, ``announce`` one of them together with
        letters. What the store raises is raised: it is then read again, and the intent that stands says what to
        repeat.
        """
        committed = 0
        while (urgent := self._most_urgent()) is not None:
            topic_partition, waiting, cut = urgent
            rows = self._insert(topic_partition, cut, waiting.intent, commit_offsets, announce)
            waiting.intent = None
            committed += rows
            waiting.drop(rows, self._clock())
        return committed

    def _most_urgent(self) -> tuple[tuple[str, int], _Waiting, Block] | None:
        """What is to be inserted next; it may have come while others were being inserted."""
        by_rank = sorted(self._waiting.items(), key=lambda item: self._rank.get(item[0][0], len(self._rank)))
        for topic_partition, waiting in by_rank:
            waiting.gather()
            cut = self._due(waiting)
            if cut is not None:
                return topic_partition, waiting, cut
        return None

    def _due(self, waiting: _Waiting) -> Block | None:
        if not waiting.blocks:
            return None
        if waiting.intent is not None:
            return self._planned(waiting, waiting.intent)
        old = self._clock() - waiting.inserted_ms >= self._limits.wait_ms_max
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

    def _insert(
        self,
        topic_partition: tuple[str, int],
        cut: Block,
        intent: Intent | None,
        commit: CommitOffsets,
        announce: Announce,
    ) -> int:
        """Commit a block, or as much of its beginning as one transaction has room for; returns its records."""
        topic, prepared = self._cluster.topic(topic_partition[0]), self._prepare(cut)
        if intent is None and (rows := _room(prepared.letters)) is not None:
            cut = cut[0:rows]
            prepared = self._prepare(cut)
        standing, letters = intent, prepared.letters
        intent = Intent(cut.last, len(cut), len(letters))
        if standing is None or (letters and standing.letters != intent.letters):  # an older version set nothing aside
            at = ck.TopicPartition(topic, topic_partition[1], cut.first, metadata=msgspec.json.encode(intent).decode())
            announce(letters, at) if letters else commit([at])  # 1. What will be done.
        prepared.write(f"{topic}/{topic_partition[1]}/{cut.first}-{cut.last}")  # 2. It is done, once or again.
        commit([ck.TopicPartition(topic, topic_partition[1], cut.last + 1, metadata="")])  # 3. It was done.
        prepared.tell()
        return len(cut)


def _room(letters: Sequence[Publish]) -> int | None:
    """At which record a block has to end so that its letters fit one transaction; None where they do."""
    size = 0
    for n, letter in enumerate(letters):
        size += len(letter.value or b"")
        if n and (n >= LETTERS_MAX or size > LETTER_BYTES_MAX):
            return letter.at or None  # several letters of one record stay together
    return None


def by_intents(step: IntentStep, wait_s_max: float) -> Callable[[BatchConsumer, TransactionalProducer], Commit]:
    """How an agent commits a step by intents.

    Parameters
    ----------
    wait_s_max
        How long a transaction of letters may last; librdkafka has been seen to wait for ever, see
        `streams.runtime.agent`.
    """
    pool = ThreadPoolExecutor(1, "announce")

    def make(consumer: BatchConsumer, producer: TransactionalProducer) -> Commit:
        def commit(processed: Sequence[Processed], group: Any) -> object:  # noqa: ARG001
            def announce(letters: Sequence[Publish], at: ck.TopicPartition) -> None:
                announcing = pool.submit(producer.announce, letters, at, group)
                try:
                    announcing.result(wait_s_max)
                except TimeoutError as error:
                    raise Stuck(f"a transaction of dead letters has not returned for {wait_s_max:.0f} s") from error

            return step.commit(consumer.commit, announce)

        return commit

    return make
