"""Commits: effects and consumed offsets become visible together, or not at all."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import confluent_kafka as ck

from streams.fatal import Fatal
from streams.kafka.access import AccessError, Need, command, denied, lacking, lacks
from streams.kafka.cluster import Cluster
from streams.runtime.dangling import end_dangling
from streams.runtime.microbatch import Silence
from streams.wire.block import Block
from streams.wire.dead_letters import DEAD_LETTERS, cut, dead_letter
from streams.wire.effects import Effects, Publish
from streams.wire.refusals import Refusal

_BEGIN_S = 30.0
_ASK_S = 10.0
_ANY = -1  # the partitioner decides

#: What a commit is made of: a block with what it led to, or a silence with what is said of it.
Processed = tuple[Block | Silence, Effects]


class Aborted(RuntimeError):
    """The transaction was rolled back; nothing of it is visible. Forget, re-read the offsets, seek, and do it again."""


class Fenced(Fatal):
    """This process can commit no more and must end; most often because another one holds its transactional id."""


class TransactionalProducer:
    """One transactional producer for one slot of one group: never two, or an abort of A and a later commit of B lose A.

    Parameters
    ----------
    cluster
        Where to.
    transactional_id
        Stable for the slot, so that a restarted process aborts its predecessor's open transaction at once.

    Raises
    ------
    AccessError
        This user may not use the id.
    ck.KafkaException
        The broker does not answer.
    """

    def __init__(self, cluster: Cluster, transactional_id: str) -> None:
        self._cluster, self._slot = cluster, transactional_id
        self._producer = cluster.producer(transactional_id)
        self._names: dict[str, str] = {}
        try:
            self._producer.init_transactions(_BEGIN_S)
        except ck.KafkaException as error:
            if denied(error.args[0]) != "transactional-id":
                raise
            need = Need("transactional-id", transactional_id, ("write",))
            raise AccessError(f"{lacks(cluster, need)}; {command(cluster, need)}") from None

    def end_dangling(self, writes: Iterable[str], reads: Sequence[str] = (), group: str = "") -> None:
        """See `streams.runtime.dangling.end_dangling`: end what a predecessor has left open."""
        end_dangling(self._cluster, self._producer, self._slot, writes, reads, group)

    def commit(self, processed: Sequence[Processed], extra: Sequence[Publish], group: Any) -> None:
        """Publish the effects and commit their blocks' offsets in one transaction.

        Where there are no offsets nobody asks whether ``group`` still is a member: so a silence carries one too, the
        offset that is committed already.

        Parameters
        ----------
        processed
            Later blocks of a partition stand later.
        extra
            Messages that nothing was read for: those of tools.
        group
            ``consumer.consumer_group_metadata()`` of the reader of those blocks; unused where there are none.

        Raises
        ------
        Aborted
            Rolled back: a rebalance took a partition away, a message could not be delivered, the broker stumbled.
        Fenced
            A younger process has taken this slot.
        """
        parts = [(source if isinstance(source, Block) else None, effects.publish) for source, effects in processed]
        self._transact([*parts, (None, extra)], self._offsets(processed), group)

    def announce(self, messages: Sequence[Publish], at: ck.TopicPartition, group: Any) -> None:
        """Publish messages and commit one offset, with the metadata that it has, in one transaction.

        Parameters
        ----------
        messages
            What is published.
        at
            Partition and offset to commit, with metadata.
        group
            The consumer's group metadata, by which the broker knows who commits.

        Raises
        ------
        Aborted, Fenced
            As of `commit`.
        """
        self._transact([(None, messages)], [at], group)

    def _transact(
        self, parts: Sequence[tuple[Block | None, Sequence[Publish]]], offsets: list[ck.TopicPartition], group: Any
    ) -> None:
        producer = self._producer
        try:
            producer.begin_transaction()
            for source, messages in parts:  # 1. Outputs, invisible until the commit.
                self._publish(messages, source)
            if offsets:  # 2. Inputs consumed, in the same breath.
                producer.send_offsets_to_transaction(offsets, group, _BEGIN_S)
            producer.commit_transaction(_BEGIN_S)  # 3. A crash above repeats work and shows none.
        except ck.KafkaException as error:
            self._roll_back(error)

    def _offsets(self, processed: Sequence[Processed]) -> list[ck.TopicPartition]:
        last = {(b.topic, b.partition): (b.last + 1, effects.memory) for b, effects in processed}
        return [
            ck.TopicPartition(self._cluster.topic(topic), partition, offset, metadata=memory)
            for (topic, partition), (offset, memory) in last.items()
        ]

    def _publish(self, messages: Sequence[Publish], source: Block | None) -> None:
        """Hand messages to librdkafka; this loop runs once a request."""
        produce, names = self._producer.produce, self._names
        for message in messages:
            name = names.get(message.topic) or names.setdefault(message.topic, self._cluster.topic(message.topic))
            partition = _ANY if message.partition is None else message.partition
            try:
                produce(name, message.value, message.key, partition, headers=message.headers)
            except (BufferError, ck.KafkaException):
                self._insist(message, source)

    def _insist(self, message: Publish, source: Block | None) -> None:
        """Publish what was not taken at once: wait for room, ask for partitions that are new, or send what stands for a
        message that is too large.
        """
        name, partition = self._names[message.topic], _ANY if message.partition is None else message.partition
        shortened = looked_up = False
        while True:
            try:
                self._producer.produce(name, message.value, message.key, partition, headers=message.headers)
                return
            except BufferError:
                self._producer.poll(0.1)  # full: wait for the broker, never drop
            except ck.KafkaException as error:
                if error.args[0].code() == ck.KafkaError._UNKNOWN_PARTITION and not looked_up:
                    # Added since the client last asked, which it does every five minutes; every micro-batch
                    # of this slot, with all that is in it, would be rolled back until then.
                    looked_up = True
                    self._producer.list_topics(name, _ASK_S)
                    continue
                answers = source is not None or message.topic == DEAD_LETTERS
                if error.args[0].code() != ck.KafkaError.MSG_SIZE_TOO_LARGE or shortened or not answers:
                    raise
                # It must not abort the commit for ever: what it answers is a dead letter instead.
                shortened = message.topic == DEAD_LETTERS
                message = _too_large(message, source)
                name, partition = self._cluster.topic(DEAD_LETTERS), _ANY

    def _lacking(self, why: ck.KafkaError) -> str:
        """The ACLs that a failed commit lacks, in words; of a message that could not be delivered librdkafka says
        here no more than that."""
        if why.code() == ck.KafkaError._INCONSISTENT or denied(why) == "topic":
            if not self._cluster.options:
                return ""
            needs = [Need("topic", topic, ("write",)) for topic in self._names]
            with suppress(ck.KafkaException):  # The broker does not answer: then that is why.
                if missing := lacking(self._cluster, needs):
                    return "".join(
                        f"; {lacks(self._cluster, need)}: {command(self._cluster, need)}" for need in missing
                    )
        return "; an ACL is missing, `driftline doctor` names it" if denied(why) else ""

    def _roll_back(self, error: ck.KafkaException) -> None:
        why: ck.KafkaError = error.args[0]
        acl = self._lacking(why)
        if why.fatal() or why.code() in (ck.KafkaError._FENCED, ck.KafkaError.INVALID_PRODUCER_EPOCH):
            raise Fenced(why.str() + (acl or "; another process holds this slot")) from error
        try:
            self._producer.abort_transaction(_BEGIN_S)
        except ck.KafkaException as second:
            if not second.args[0].retriable():  # a commit without an answer bars every other call for good
                raise Fenced(f"{why.str()}, and then {second.args[0].str()}; only a new process can go on") from error
        raise Aborted(why.str() + acl) from error

    def close(self) -> None:
        """Abort what is open and let go; a transaction never begun is no error."""
        with suppress(ck.KafkaException):
            self._producer.abort_transaction(2.0)


def _too_large(message: Publish, source: Block | None) -> Publish:
    """What is published instead: the dead letter of the record, and of a dead letter its beginning."""
    if message.topic == DEAD_LETTERS:
        return cut(message)
    assert source is not None, message.topic
    size = len(message.value or b"") + len(message.key or b"")
    refusal = Refusal(message.at or 0, "oversize", "$", f"an effect for {message.topic} of {size} bytes")
    return dead_letter(source, refusal, stage=message.topic)
