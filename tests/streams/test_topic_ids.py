"""Topics that are made again are known by their ids, also where an answer never comes or is an error."""

import time
from collections.abc import Mapping
from concurrent.futures import Future
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


def silent() -> "Future[Any]":
    return Future()


def refused() -> "Future[Any]":
    answer: Future[Any] = Future()
    answer.set_exception(ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT)))
    return answer


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("answer", [silent, refused])
def test_a_client_that_gives_no_answer_is_replaced(answer: Any, wait: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms, clients, ids = 0.0, list[object](), {"t": "first"}

    def ask(client: object, names: Any) -> Mapping[str, Any]:
        if client not in clients:
            clients.append(client)
        if client is clients[0] and now_ms > 0:
            return {"t": answer()}
        found: Future[Any] = Future()
        found.set_result(type("Topic", (), {"topic_id": ids["t"], "authorized_operations": None})())
        return {"t": found}

    monkeypatch.setattr(topic_ids, "_ask", ask)
    monkeypatch.setattr(topic_ids, "ticks_ms", lambda: now_ms)
    monkeypatch.setattr(topic_ids, "_ASK_S", -0.9)  # a tenth of a second is waited for an answer
    changes = TopicChanges(Cluster(bootstrap="127.0.0.1:1"), ["t"])
    assert not changes.any_remade(wait=True)
    ids["t"] = "second"
    remade_ms = []
    for _ in range(200):
        now_ms += 100.0
        if changes.any_remade(wait):
            remade_ms.append(now_ms)
    assert len(remade_ms) == 1 and remade_ms[0] <= topic_ids._UNANSWERED_MS + 3_000
    assert len(clients) == 2


@pytest.mark.parametrize("between_ms", [2_000, 9_000, 11_000, 60_000])
def test_an_answer_is_read_however_late_somebody_looks(between_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms, ids = 0, iter(["first", "first", *["second"] * 9])

    def ask(_client: object, _names: Any) -> Mapping[str, Any]:
        answered: Future[Any] = Future()
        answered.set_result(type("Topic", (), {"topic_id": next(ids), "authorized_operations": None})())
        return {"t": answered}

    monkeypatch.setattr(topic_ids, "_ask", ask)
    monkeypatch.setattr(topic_ids, "ticks_ms", lambda: now_ms)
    changes = TopicChanges(Cluster(bootstrap="127.0.0.1:1"), ["t"])
    told = [changes.any_remade(wait=True)]
    for _ in range(8):
        now_ms += between_ms
        told.append(changes.any_remade())
    assert sum(told) == 1


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
