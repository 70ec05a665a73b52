"""How far a group is, asked again and again by one client."""

import confluent_kafka as ck
import pytest

from streams.kafka.cluster import Cluster
from streams.kafka.group_offsets import Progress


@pytest.fixture
def made(monkeypatch) -> list[ck.Consumer]:
    """The readers that are made from now on."""
    clients: list[ck.Consumer] = []
    make = Cluster.reader

    def counted(cluster: Cluster, **more: object) -> ck.Consumer:
        clients.append(make(cluster, **more))
        return clients[-1]

    monkeypatch.setattr(Cluster, "reader", counted)
    return clients


def send(cluster: Cluster, n: int) -> None:
    producer = ck.Producer({"bootstrap.servers": cluster.bootstrap})
    for number in range(n):
        producer.produce(cluster.topic("requests"), b"%d" % number, partition=1)
    assert producer.flush(15) == 0


def commit(cluster: Cluster, offset: int) -> None:
    group = cluster.consumer("score")
    group.commit(offsets=[ck.TopicPartition(cluster.topic("requests"), 1, offset)], asynchronous=False)
    group.close()


def test_one_client_answers_every_question(cluster, made):
    progress = Progress(cluster, "score", "requests")
    assert progress.committed() == {0: 0, 1: 0}
    send(cluster, 3)
    assert [value for block in progress.unread(1) for value in block.values] == [b"0", b"1", b"2"]
    commit(cluster, 3)
    made_to_read = len(made) - 1
    for _ in range(20):
        assert progress.committed() == {0: 0, 1: 3}
        assert list(progress.unread()) == []
    assert (len(made), made_to_read) == (2, 1)
    progress.close()


def test_a_topic_ends_where_a_transaction_stands_open_or_behind_it(cluster, made):
    send(cluster, 1)
    writer = cluster.producer("writer")
    writer.init_transactions(15)
    writer.begin_transaction()
    writer.produce(cluster.topic("requests"), b"open", partition=1)
    writer.flush(15)
    settled, whole = (Progress(cluster, "score", "requests", committed=way) for way in (True, False))
    for _ in range(5):
        assert (settled.ends()[1], whole.ends()[1]) == (1, 2)
    assert len(made) == 2
    writer.abort_transaction(15)


def test_a_client_without_an_answer_is_replaced(cluster, made, monkeypatch):
    progress = Progress(cluster, "score", "requests")
    progress.committed()
    with monkeypatch.context() as patch, pytest.raises(ck.KafkaException):
        patch.setattr("streams.kafka.ranges.bounds", lambda *_, **__: (_ for _ in ()).throw(ck.KafkaException("away")))
        progress.committed()
    assert progress.committed() == {0: 0, 1: 0}
    assert len(made) == 2
    with pytest.raises(RuntimeError):
        made[0].list_topics(timeout=1)  # it was closed
    progress.close()
