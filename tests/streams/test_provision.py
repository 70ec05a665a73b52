"""Topics on a real broker: made from the table, checked in sentences, never changed."""

import threading
import time
from functools import partial

import pytest
from confluent_kafka.admin import NewPartitions, NewTopic

from streams.kafka import admin
from streams.kafka.admin import (
    Layout,
    TopicError,
    await_topics,
    behind,
    check,
    create,
    create_foreign,
    extend,
    foreign_partitions,
    partition_counts,
)
from streams.kafka.cluster import Cluster
from streams.kafka.topics import NAMES


@pytest.fixture
def bare(kafka: str, topic_prefix: str) -> Cluster:
    return Cluster(bootstrap=kafka, prefix=topic_prefix)


def make(cluster: Cluster, name: str, partitions: int = 1) -> None:
    admin = cluster.admin()  # it must outlive its futures
    for future in admin.create_topics([NewTopic(cluster.topic(name), num_partitions=partitions)]).values():
        future.result(15)


def give_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers at a port without a broker, however long it is waited for."""
    monkeypatch.setattr(admin, "_ASK_S", 0.2)
    monkeypatch.setattr(admin, "why_refused", partial(admin.why_refused, wait_s=0.2))


def test_every_missing_topic_is_named_with_the_remedy(bare):
    wrong = check(bare)
    assert len(wrong) == len(NAMES)
    assert f"topic {bare.prefix}requests is missing; run `driftline topics create`" in wrong


def test_topics_are_made_once_and_are_then_right(bare):
    made = create(bare, Layout(requests=3, model=2))
    assert set(made) == {bare.topic(name) for name in NAMES}
    assert check(bare) == []
    counts = partition_counts(bare)
    assert (counts["requests"], counts["observations"], counts["counts"], counts["models"]) == (3, 3, 2, 1)
    assert create(bare, Layout(requests=9)) == []
    assert partition_counts(bare) == counts


def test_what_stands_differently_is_told_and_left_alone(bare):
    make(bare, "predictions", 5)
    make(bare, "counts", 7)
    make(bare, "snapshots")
    create(bare, Layout(requests=2))
    wrong = "\n".join(check(bare))
    assert "predictions has 5 partitions and requests has 2" in wrong
    assert "model-keyed topics differ in partitions" in wrong
    assert "snapshots has cleanup.policy=delete" in wrong
    assert partition_counts(bare)["predictions"] == 5


def test_a_kafka_that_is_away_is_named(monkeypatch):
    give_up_soon(monkeypatch)
    with pytest.raises(TopicError, match=r"no Kafka at 127\.0\.0\.1:1: .*kafka\.bootstrap"):
        partition_counts(Cluster(bootstrap="127.0.0.1:1"), timeout_s=0.2)


def test_topics_that_follow_requests_are_named_and_given_their_partitions(bare):
    create(bare, Layout(requests=2))
    admin = bare.admin()
    admin.create_partitions([NewPartitions(bare.topic("requests"), 5)])[bare.topic("requests")].result(15)
    deadline = time.monotonic() + 15
    while partition_counts(bare)["requests"] < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    wrong = check(bare)
    assert len(wrong) == 2 and all("`driftline topics create` adds them" in text for text in wrong)
    assert wrong == behind(bare, partition_counts(bare))
    assert len(extend(bare)) == 2
    while partition_counts(bare)["predictions"] < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert check(bare) == extend(bare) == []


def test_topics_of_others_are_made_by_their_own_names_and_never_changed(bare):
    name = f"theirs-{bare.prefix.strip('.')}"
    assert create_foreign(bare, [name], 3, 1) == [name]
    deadline = time.monotonic() + 15
    while not foreign_partitions(bare, [name]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert create_foreign(bare, [name], 7, 1) == []
    assert foreign_partitions(bare, [name]) == {name: 3}


def test_a_role_waits_for_its_topics_and_says_which_are_missing(bare, monkeypatch):
    with pytest.raises(TopicError, match=r"no topic \S+requests on .*`driftline topics create`"):
        await_topics(bare, ["requests"], deadline_s=0.2)
    making = threading.Timer(0.5, create, (bare, Layout()))
    making.start()
    await_topics(bare, ["requests", "models"], deadline_s=30)
    making.join()
    give_up_soon(monkeypatch)
    with pytest.raises(TopicError, match="no Kafka at"):
        await_topics(Cluster(bootstrap="127.0.0.1:1"), ["requests"], deadline_s=0.2)
