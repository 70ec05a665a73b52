"""Closed ranges of a topic, read by nobody's group: for replay, for restoring state, for reading a small
topic whole.
"""

from collections.abc import Iterator

import confluent_kafka as ck
import msgspec
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from streams.kafka.cluster import Cluster
from streams.kafka.unpacked import does_not_unpack, empty_records
from streams.wire.block import Block

_WAIT_S = 15.0
_ROWS_MAX = 5_000


#: What a broker answers while a topic is new or a leader is changing.
_FOR_A_MOMENT = (ck.KafkaError.NOT_LEADER_FOR_PARTITION, ck.KafkaError.LEADER_NOT_AVAILABLE)


class RangeError(RuntimeError):
    """A range cannot be read to its end."""


def _passes(error: BaseException) -> bool:
    return isinstance(error, ck.KafkaException) and error.args[0].code() in _FOR_A_MOMENT


_patiently = retry(
    retry=retry_if_exception(_passes), stop=stop_after_delay(_WAIT_S), wait=wait_fixed(0.05), reraise=True
)


@_patiently
def bounds(
    cluster: Cluster, topic: str, committed: bool = True, client: ck.Consumer | None = None
) -> dict[int, tuple[int, int]]:
    """First offset and end of every partition: last + 1, markers included, or where a transaction stands open.

    With ``committed`` false the end lies behind open transactions; `read` waits for them to close. Whoever asks often
    hands over a client, whose isolation level decides instead.

    Parameters
    ----------
    topic
        Logical name of the topic.
    committed
        Whether the end is where a transaction stands open.
    client
        A consumer that is open already; it is not closed.
    """
    reader = client or cluster.reader(**{} if committed else {"isolation.level": "read_uncommitted"})
    try:
        metadata = reader.list_topics(cluster.topic(topic), timeout=_WAIT_S).topics[cluster.topic(topic)]
        if metadata.error:
            raise RangeError(f"topic {cluster.topic(topic)}: {metadata.error.str()}; run `driftline topics create`")
        return {
            partition: reader.get_watermark_offsets(ck.TopicPartition(cluster.topic(topic), partition), timeout=_WAIT_S)
            for partition in sorted(metadata.partitions)
        }
    finally:
        if client is None:
            reader.close()


@_patiently
def at_time(cluster: Cluster, topic: str, time_ms: int) -> dict[int, int]:
    """Per partition the offset of the first record of Kafka time ``time_ms`` or later; the end where there is none.

    Parameters
    ----------
    topic
        Logical name of the topic.
    time_ms
        Milliseconds since 1970, UTC.
    """
    ends = bounds(cluster, topic)
    reader = cluster.reader()
    try:
        partitions = [ck.TopicPartition(cluster.topic(topic), partition, time_ms) for partition in ends]
        offsets = reader.offsets_for_times(partitions, timeout=_WAIT_S)
        return {p.partition: p.offset if p.offset >= 0 else ends[p.partition][1] for p in offsets}
    finally:
        reader.close()


def read(
    cluster: Cluster, topic: str, partition: int, start: int, end: int, rows_max: int = _ROWS_MAX
) -> Iterator[Block]:
    """Blocks of committed records with ``start <= offset < end``.

    Parameters
    ----------
    topic
        Logical name of the topic.
    start, end
        Offsets; the end is left out.
    rows_max
        Records of one block at most.

    Raises
    ------
    RangeError
        Nothing came for 15 s before the end was reached: no broker, or a transaction that stays open.
    """
    if start >= end:
        return
    name = cluster.topic(topic)
    reader = cluster.reader(**{"enable.partition.eof": True})
    try:
        reader.assign([ck.TopicPartition(name, partition, start)])
        ended = False
        while not ended:
            messages = reader.consume(rows_max, 0.1) or reader.consume(1, _WAIT_S)
            if not messages:
                raise RangeError(
                    f"{name}/{partition}: nothing for {_WAIT_S:.0f} s before offset {end}; "
                    "is a broker away, or a transaction open?"
                )
            packed = next(filter(does_not_unpack, messages), None)
            for message in messages if packed is None else ():
                _refuse(message)
            # The end of a partition is where its open transactions begin: short of our end it is a reason to wait.
            ended = any(m.offset() >= (end if m.error() else end - 1) for m in messages)
            kept = [m for m in messages if m.error() is None and m.offset() < end]
            if kept and len(block := Block.of_messages(topic, partition, kept)):
                yield block
            if packed is not None:
                block = empty_records(cluster, packed, kept[-1].offset() + 1 if kept else start, rows_max)
                start = block.last + 1
                if block.first < end:
                    yield block[: end - block.first]
                reader.assign([ck.TopicPartition(name, partition, start)])
                ended = start >= end
                continue
            ended = ended or reader.position([ck.TopicPartition(name, partition)])[0].offset >= end
    finally:
        reader.close()


class Range(msgspec.Struct, frozen=True):
    """Committed records ``start <= offset < end`` of a partition as an iterable: read anew whenever it is walked."""

    cluster: Cluster
    topic: str
    partition: int
    start: int
    end: int

    def __iter__(self) -> Iterator[Block]:
        return read(self.cluster, self.topic, self.partition, self.start, self.end)


def _refuse(message: ck.Message) -> None:
    error = message.error()
    if error is not None and error.code() != ck.KafkaError._PARTITION_EOF:
        raise RangeError(f"{message.topic()}/{message.partition()}: {error.str()}")


def read_all(cluster: Cluster, topic: str) -> Iterator[Block]:
    """Every committed record that a topic holds now, a partition after the other."""
    for partition, (low, high) in bounds(cluster, topic).items():
        yield from read(cluster, topic, partition, low, high)
