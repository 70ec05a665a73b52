"""What a role needs: asked whether it answers, and said while it does not, before and after there is an app."""

import asyncio
import socket
import threading
import time
from functools import partial

import pytest
from urllib3 import PoolManager

from streams.away import Away
from streams.kafka import admin, alive
from streams.kafka.admin import TopicError, await_topics
from streams.kafka.alive import Broker, BrokerAway
from streams.kafka.cluster import Cluster
from streams.runtime import app, starting
from streams.runtime.app import Role
from streams.runtime.needs import HANGS_S, Need
from streams.runtime.stage import PerPartition

NOWHERE = "127.0.0.1:9"
_HTTP = PoolManager(timeout=5.0, retries=False)


def get(port: int, path: str) -> tuple[int, str]:
    answer = _HTTP.request("GET", f"http://127.0.0.1:{port}{path}")
    return answer.status, answer.data.decode()


@pytest.fixture
def soon_given_up(monkeypatch) -> None:
    """Nobody answers at `NOWHERE`, however long it is waited for."""
    monkeypatch.setattr(alive, "_ANSWER_S", 0.2)
    monkeypatch.setattr(admin, "_ASK_S", 0.2)
    monkeypatch.setattr(admin, "why_refused", partial(admin.why_refused, wait_s=0.2))


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def role(tmp_path, port):
    made = Role(Cluster(bootstrap=NOWHERE), "worker", "0", port, folder=tmp_path / "faust")
    yield made
    made._starting.stop()
    for need in made.needs:
        need.stop()


def until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_need_is_away_while_it_raises_and_back_with_its_first_answer():
    here = threading.Event()

    def ask() -> None:
        if not here.is_set():
            raise Away("the disk at /mnt does not answer; mount it")

    need = Need("the disk", ask, every_s=0.01)
    assert need.away() == ""
    need.start()
    until(lambda: need.away() == "the disk at /mnt does not answer; mount it")
    here.set()
    until(lambda: need.away() == "")
    need.stop()


def test_a_question_that_hangs_is_an_answer(monkeypatch):
    now, go = [100.0], threading.Event()
    monkeypatch.setattr("streams.runtime.needs.time.monotonic", lambda: now[0])
    need = Need("the folder", lambda: go.wait(60))
    asking = threading.Thread(target=need.look)
    asking.start()
    until_s = time.time() + 60
    while need._asked_s is None and time.time() < until_s:
        time.sleep(0.01)
    now[0] += HANGS_S
    assert need.away() == ""
    now[0] += 1
    assert need.away() == "the folder has not answered for 11 s; see whether it hangs"
    go.set()
    asking.join(60)
    assert need.away() == ""


def test_a_role_says_what_it_waits_for_before_there_is_an_app(role, port, soon_given_up):
    role.begin()
    role.awaits("no topic requests; `driftline topics create`")
    until(lambda: NOWHERE in get(port, "/readyz")[1])
    assert get(port, "/livez") == (200, "ok\n")
    assert get(port, "/startupz") == (200, "ok\n")
    code, text = get(port, "/readyz")
    assert code == 503
    assert f"no Kafka broker answers at {NOWHERE}" in text and "driftline topics create" in text
    status = app.msgspec.json.decode(get(port, "/status")[1])
    assert (status["role"], status["started"], status["steps"]) == ("worker-0", False, [])
    assert status["waits"] == text.splitlines()
    assert "driftline_rows_settled" in get(port, "/metrics")[1]
    assert get(port, "/elsewhere")[0] == 404
    role._starting.stop()
    with socket.create_server(("127.0.0.1", port)):
        pass  # free for the app


def test_a_broker_away_is_not_ready_and_no_fault_and_another_need_is_said_by_a_ready_role(role):
    role._started = True
    role.needs[:] = [Need("the broker", lambda: 1 / 0, blocks=True), Need("the store", lambda: int("no"))]
    for need in role.needs:
        need.look()
    assert role._readyz() == (
        503,
        "text/plain",
        b"division by zero\ninvalid literal for int() with base 10: 'no'\n",
    )
    assert role._startupz()[0] == 200
    role.needs[0] = Need("the broker", lambda: None, blocks=True)
    assert role._readyz() == (200, "text/plain", b"ok\ninvalid literal for int() with base 10: 'no'\n")
    assert role.status()["waits"] == ["invalid literal for int() with base 10: 'no'"]


def test_a_batch_that_waits_for_what_is_away_is_no_fault_that_a_restart_mends(role):
    """A schema registry, a store: the role is not ready, and says why."""
    step = PerPartition(lambda topic, partition, memory: None)  # type: ignore[arg-type,return-value]
    agent = role.add_agent("score", role.cluster, ["requests"], step)
    role._started, role.needs[:] = True, []

    def fails(error: Exception) -> None:
        def process(blocks):
            raise error

        async def batches():
            yield agent._consumer._in_flight.hand_over([])

        step.process = process
        asyncio.run(agent._pipeline.run(batches(), lambda *_: None))

    fails(Away("schema registry http://r:8081: 503"))
    assert role._readyz()[0] == 503 and b"schema registry http://r:8081: 503" in role._readyz()[2]
    assert role._startupz()[0] == 200
    fails(RuntimeError("a model that fails"))
    assert role._readyz()[0] == role._startupz()[0] == 503
    agent._consumer._in_flight.close()


def test_a_port_that_is_taken_is_left_to_the_app(port):
    with socket.create_server(("127.0.0.1", port)):
        server = starting.Starting("127.0.0.1", port, {})
        server.start()
        server.stop()


def test_half_requests_take_no_more_than_their_places(port, monkeypatch):
    monkeypatch.setattr(starting, "_CONNECTIONS_MAX", 3)
    monkeypatch.setattr(starting, "_REQUEST_S_MAX", 1.0)
    server = starting.Starting("127.0.0.1", port, {"/livez": lambda: (200, "text/plain", b"ok\n")})
    server.start()
    halves = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
    for half in halves:
        half.sendall(b"GET /livez HT")
        half.settimeout(30)
    began = time.monotonic()
    assert [half.recv(1) for half in halves] == [b""] * 10  # all are closed: seven at once, three at their deadline
    assert time.monotonic() - began < 20
    assert get(port, "/livez") == (200, "ok\n")
    server.stop()


def test_a_broker_answers_by_a_client_that_is_kept(cluster):
    broker = Broker(cluster, "models")
    broker.ask()
    client = broker._client
    broker.ask()
    assert broker._client is client


def test_nobody_is_a_broker_that_is_away(soon_given_up):
    broker = Broker(Cluster(bootstrap=NOWHERE), "models")
    with pytest.raises(BrokerAway, match=f"no Kafka broker answers at {NOWHERE}: .*kafka.bootstrap"):
        broker.ask()
    assert broker._client is None


def test_whoever_awaits_topics_says_so_until_they_are_there(cluster, request):
    said: list[str] = []
    await_topics(cluster, ["requests"], awaits=said.append)
    assert said == [""]
    request.getfixturevalue("soon_given_up")
    with pytest.raises(TopicError):
        await_topics(Cluster(bootstrap=NOWHERE), ["requests"], deadline_s=0, awaits=said.append)
    assert NOWHERE in said[-1]
