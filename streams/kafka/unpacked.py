"""Batches that do not unpack: records that Kafka keeps and its client cannot give out.

Clients pack records into batches, and a broker takes what is small while it is packed. What would unpack to more than
the client allows (6 kB may hold 200 MB of spaces) is an error at the batch's first offset, again and again: nothing
behind it would be read any more. So its offsets are found, and each is a record without a value, which every step sets
aside as it does others that are empty; a header says why.
"""

import time
from collections.abc import Sequence

import confluent_kafka as ck

from streams.kafka.cluster import Cluster
from streams.wire.block import Block

#: Errors of a batch, and not of a connection.
_OF_A_BATCH = (ck.KafkaError._BAD_COMPRESSION, ck.KafkaError._BAD_MSG)
_ASK_S = 15.0
WHY = "batch-unreadable"


def does_not_unpack(message: ck.Message) -> bool:
    """Whether a message stands for a batch that cannot be unpacked; its offset is the batch's first."""
    error, first = message.error(), message.offset()
    return error is not None and error.code() in _OF_A_BATCH and first is not None and first >= 0


def empty_records(cluster: Cluster, message: ck.Message, start: int, rows_max: int) -> Block:
    """What stands for the records of a batch that does not unpack, from an offset on, some of them.

    Parameters
    ----------
    message
        Stands for it; see `does_not_unpack`.
    start
        Offset to begin at, within the batch or before it.
    rows_max
        Records at the most; the next ones are asked for by their offset.

    Raises
    ------
    ck.KafkaException
        The broker does not answer, or another client can unpack it: then it was damaged on its way.
    """
    topic, partition, first = message.topic(), message.partition(), message.offset()
    start = max(start, first)
    end = _end_of_batch(cluster, topic, partition, first)
    if end == first:
        raise ck.KafkaException(message.error())  # it is read again, by a new process
    stop = min(end, start + rows_max)
    n = max(1, stop - start)
    headers = [(WHY, message.error().str().encode())]
    now = [round(time.time() * 1000)] * n  # Kafka's are packed, too; nothing that is set aside has another time
    nothing: Sequence[None] = [None] * n
    return Block(cluster.logical(topic), partition, range(start, start + n), now, nothing, nothing, [headers] * n)


def _end_of_batch(cluster: Cluster, topic: str, partition: int, first: int) -> int:
    """The offset behind a batch: the least from which on the client reads something else, or nothing. It is ``first``
    where another client reads what is there.
    """
    reader = cluster.reader(**{"enable.partition.eof": True, "auto.offset.reset": "error", "log_level": 2})
    try:
        _, end = reader.get_watermark_offsets(ck.TopicPartition(topic, partition), timeout=_ASK_S)
        if not _is_inside(reader, topic, partition, first, first):
            return first
        inside, step = first, 1
        while inside + step < end and _is_inside(reader, topic, partition, first, inside + step):
            inside, step = inside + step, 2 * step
        behind = min(inside + step, end)
        while behind - inside > 1:
            middle = (inside + behind) // 2
            if _is_inside(reader, topic, partition, first, middle):
                inside = middle
            else:
                behind = middle
        return int(behind)
    finally:
        reader.close()


def _is_inside(reader: ck.Consumer, topic: str, partition: int, first: int, offset: int) -> bool:
    reader.assign([ck.TopicPartition(topic, partition, offset)])
    until = time.monotonic() + _ASK_S
    while time.monotonic() < until:
        message = reader.poll(1.0)
        if message is None:
            continue
        if message.error() is None or message.error().code() == ck.KafkaError._PARTITION_EOF:
            return False
        if does_not_unpack(message):
            return bool(message.offset() == first)
    raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT, f"{topic}/{partition}: nothing at {offset}"))
