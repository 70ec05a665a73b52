"""Only what no client can unpack is taken for empty: a batch that was damaged on its way is read again."""

from unittest.mock import Mock

import confluent_kafka as ck
import pytest

from streams.kafka.unpacked import does_not_unpack, empty_records


def message(cluster, code, offset=0):
    said = Mock(error=lambda: ck.KafkaError(code), offset=lambda: offset, partition=lambda: 0)
    said.topic = lambda: cluster.topic("requests")
    return said


def test_a_batch_that_another_client_can_unpack_is_no_empty_record(cluster):
    producer = cluster.producer()
    for value in (b"one", b"two"):
        producer.produce(cluster.topic("requests"), value, partition=0)
    assert producer.flush(30) == 0
    for offset in (0, 1):
        with pytest.raises(ck.KafkaException):
            empty_records(cluster, message(cluster, ck.KafkaError._BAD_COMPRESSION, offset), 0, 10)


@pytest.mark.parametrize(
    ("code", "offset", "is_one"),
    [
        (ck.KafkaError._BAD_COMPRESSION, 7, True),
        (ck.KafkaError._BAD_COMPRESSION, 0, True),
        (ck.KafkaError._BAD_COMPRESSION, None, False),
        (ck.KafkaError._BAD_COMPRESSION, -1001, False),
        (ck.KafkaError._PARTITION_EOF, 7, False),
        (ck.KafkaError._TRANSPORT, 7, False),
    ],
)
def test_other_errors_are_of_no_batch(cluster, code, offset, is_one):
    assert does_not_unpack(message(cluster, code, offset)) == is_one
