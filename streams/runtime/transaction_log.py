"""What a coordinator has decided of a slot's last transaction, read from its log.

librdkafka cannot ask for it (Kafka's DescribeTransactions). The log is Kafka's own topic, a record a change; its format
is Kafka's `TransactionLogKey` and `TransactionLogValue`, of which version 1 is the compact spelling of version 0.
"""

import struct
from contextlib import suppress

import confluent_kafka as ck
import msgspec

from streams.clock import ticks_ms
from streams.kafka.cluster import Cluster

TOPIC = "__transaction_state"
_PREPARE_COMMIT, _PREPARE_ABORT, _COMMITTED, _ABORTED = 2, 3, 4, 5
_ASK_S, _READ_S_MAX, _RECORDS_MAX = 10.0, 30.0, 50_000


class Outcome(msgspec.Struct, frozen=True):
    """How a transaction ended, and the partitions that it is of: Kafka's names of topics, and numbers."""

    commits: bool
    partitions: frozenset[tuple[str, int]] = frozenset()


def last_outcome(cluster: Cluster, transactional_id: str) -> Outcome | None:
    """How the newest transaction ended that the coordinator of a slot has decided.

    Parameters
    ----------
    cluster
        Where.
    transactional_id
        The slot's, without the cluster's prefix.

    Returns
    -------
    Outcome or None
        None where none was decided, or where we may not read the log.
    """
    slot, outcome = cluster.prefix + transactional_id, None
    reader = cluster.reader(**{"isolation.level": "read_uncommitted", "enable.partition.eof": True})
    try:
        known = reader.list_topics(TOPIC, _ASK_S).topics[TOPIC]
        if known.error is not None or not known.partitions:
            return None
        partition = ck.TopicPartition(TOPIC, partition_of(slot, len(known.partitions)))
        low, high = reader.get_watermark_offsets(partition, _ASK_S)
        reader.assign([ck.TopicPartition(TOPIC, partition.partition, max(low, high - _RECORDS_MAX))])
        until = ticks_ms() + 1000 * _READ_S_MAX
        while ticks_ms() < until:
            message = reader.poll(0.5)
            if message is None or (message.error() and message.error().code() != ck.KafkaError._PARTITION_EOF):
                continue  # it stumbles
            if message.error():
                return outcome
            if _slot(message.key()) == slot:
                outcome = decided(message.value(), outcome)
    except ck.KafkaException:  # denied, or the broker does not answer: nothing is known
        return None
    finally:
        with suppress(RuntimeError):
            reader.close()
    return None


def partition_of(slot: str, partitions: int) -> int:
    """Which partition of its log a coordinator keeps a slot in: by Java's hash of the id.

    >>> partition_of("score-0", 50), partition_of("p0.score-0", 4)  # the second hash is negative
    (19, 1)
    """
    number = 0
    for character in slot:
        number = (31 * number + ord(character)) & 0xFFFFFFFF
    signed = number - (1 << 32) if number >= 1 << 31 else number
    return (0 if signed == -(1 << 31) else abs(signed)) % partitions


def decided(value: bytes | None, before: Outcome | None = None) -> Outcome | None:
    """The outcome after a record of a slot.

    Parameters
    ----------
    value
        Of the record. When a transaction is prepared it lists partitions, once it is complete it lists none.
    before
        The outcome before it.

    >>> list_of_one = bytes([2, 5]) + b"seen" + bytes([2, 0, 0, 0, 7, 0])
    >>> decided(struct.pack(">hqhib", 1, 90, 3, 5_000, 2) + list_of_one)
    Outcome(commits=True, partitions=frozenset({('seen', 7)}))
    >>> decided(struct.pack(">hqhib", 1, 90, 3, 5_000, 0)) is None
    True
    """
    try:
        version, *_, status = struct.unpack_from(">hqhib", value or b"")
        if status in (_PREPARE_COMMIT, _PREPARE_ABORT):
            return Outcome(status == _PREPARE_COMMIT, _Partitions(value or b"", 17, compact=version > 0).read())
    except (struct.error, IndexError, UnicodeDecodeError):
        return before
    if status in (_COMMITTED, _ABORTED) and (before is None or before.commits != (status == _COMMITTED)):
        return Outcome(status == _COMMITTED)
    return before


class _Partitions:
    """Reads a list of topics and partition numbers, from a place on."""

    def __init__(self, value: bytes, at: int, compact: bool) -> None:
        self._value, self._at, self._compact = value, at, compact

    def read(self) -> frozenset[tuple[str, int]]:
        several: set[tuple[str, int]] = set()
        for _ in range(self._count()):
            size = self._count(">h")
            topic = self._value[self._at : self._at + size].decode()
            self._at += size
            several |= {(topic, self._number(">i")) for _ in range(self._count())}
            self._at += self._compact  # no tagged fields
        return frozenset(several)

    def _count(self, plain: str = ">i") -> int:
        """A length: a plain integer, or one more than it in groups of seven bits."""
        if not self._compact:
            return max(0, self._number(plain))
        number = shift = 0
        while True:
            byte = self._value[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return max(0, number - 1)

    def _number(self, kind: str) -> int:
        (number,) = struct.unpack_from(kind, self._value, self._at)
        self._at += struct.calcsize(kind)
        return int(number)


def _slot(key: bytes | None) -> str | None:
    """The transactional id that a record is of."""
    try:
        version, length = struct.unpack_from(">hh", key or b"")
        return (key or b"")[4 : 4 + length].decode() if version == 0 else None
    except (struct.error, UnicodeDecodeError):
        return None
