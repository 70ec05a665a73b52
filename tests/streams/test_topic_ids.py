"""Topics that are made again are known by their ids, also where an answer never comes or is an error."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import NewTopic

from streams.kafka import topic_ids
from streams.kafka.cluster import Cluster
from streams.kafka.topic_ids import TopicChanges

DEADLINE_S = 20.0


def make(cluster: Cluster, name: str) -> None:
    admin = cluster.admin()
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(DEADLINE_S)


class Admins:
    """A cluster whose admin clients answer by what the test says; each is another."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.made = 0
        self._answer = answer

    def admin(self, **_options: Any) -> "Admin":
        self.made += 1
        return Admin(partial(self._answer, self.made))


class Admin:
    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def describe_topics(self, _topics: Any, **_options: Any) -> Mapping[str, Any]:
        return {"t": self._answer()}


class Silent:
    """An answer that never comes."""

    def done(self) -> bool:
        return False

    def result(self, _seconds: float) -> None:
        raise TimeoutError


def refused() -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT)))
    return future


def described(topic_id: str) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(SimpleNamespace(topic_id=topic_id, authorized_operations=None))
    return future


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("fails", [Silent, refused])
def test_a_client_that_gives_no_answer_is_replaced(fails: Callable[[], Any], wait: bool) -> None:
    now_ms, topic_id = 0.0, "first"

    def answer(client: int) -> Any:
        return fails() if client == 1 and now_ms > 0 else described(topic_id)

    admins: Any = Admins(answer)
    changes = TopicChanges(admins, ["t"], lambda: now_ms)
    assert not changes.any_remade(wait=True)
    topic_id, remade_ms = "second", []
    for _ in range(200):
        now_ms += 100.0
        if changes.any_remade(wait):
            remade_ms.append(now_ms)
    assert len(remade_ms) == 1 and remade_ms[0] <= topic_ids._UNANSWERED_MS + 3_000
    assert admins.made == 2


@pytest.mark.parametrize("between_ms", [2_000, 9_000, 11_000, 60_000])
def test_an_answer_is_read_however_late_somebody_looks(between_ms: int) -> None:
    now_ms, ids = 0, iter(["first", "first", *["second"] * 9])
    admins: Any = Admins(lambda _client: described(next(ids)))
    changes = TopicChanges(admins, ["t"], lambda: now_ms)
    told = [changes.any_remade(wait=True)]
    for _ in range(8):
        now_ms += between_ms
        told.append(changes.any_remade())
    assert sum(told) == 1 and admins.made == 1


def test_a_topic_that_was_made_again_is_told_once(cluster: Cluster) -> None:
    name = cluster.topic("again")
    changes = TopicChanges(cluster, [name])
    make(cluster, name)
    assert not any(looks(changes, missing=()))
    admin = cluster.admin()  # it must outlive its futures
    admin.delete_topics([name])[name].result(DEADLINE_S)
    assert not any(looks(changes, missing=(name,)))
    make(cluster, name)
    assert sum(looks(changes, missing=())) == 1 and not changes.any_remade(wait=True)


def looks(changes: TopicChanges, missing: tuple[str, ...]) -> list[bool]:
    """What each look told until these topics are missing, by the broker's word."""
    told, end = [changes.any_remade(wait=True)], time.monotonic() + DEADLINE_S
    while changes.missing != missing:
        assert time.monotonic() < end, changes.missing
        told.append(changes.any_remade(wait=True))
    return told
