"""One process a slot: who starts beside one that lives refuses and says what to do; a dead one is not waited for."""

import time

import pytest

from streams.kafka.members import client_id, members
from streams.runtime.consumer import BatchConsumer
from streams.runtime.slots import SlotTaken, check_slot, default_slot, refuse_taken
from streams.runtime.stage import Step


@pytest.fixture
def member(cluster):
    """A member of the group ``score`` that calls itself worker-a, with an address where nobody listens."""

    def crash(error):
        raise error

    options = {"client.id": client_id("worker", "a", 9)}
    consumer = BatchConsumer(
        cluster, "score", ["requests"], Step(), hand_over=lambda batch: None, crash=crash, consumer_options=options
    )
    consumer.start()
    deadline = time.monotonic() + 30
    while not members(cluster, "score"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield consumer
    consumer.stop()


def quick(cluster):
    """The same cluster, whose sessions are over at once."""
    return type(cluster)(bootstrap=cluster.bootstrap, prefix=cluster.prefix, session_timeout_ms=500)


def test_a_slot_of_a_group_without_members_is_free(cluster):
    refuse_taken(cluster, "score", "worker-a")


def test_a_process_that_answers_keeps_its_slot(cluster, member):
    asked = []

    def ask(url):
        asked.append(url)
        return {"role": "worker-a", "steps": []}

    with pytest.raises(SlotTaken, match=r"worker-a runs already: it answers at http://.*:9/status.*--slot NAME"):
        refuse_taken(cluster, "score", "worker-a", ask)
    assert len(asked) == 1
    refuse_taken(cluster, "score", "worker-b", ask)  # another name is another slot


def test_a_dead_process_of_this_machine_is_not_waited_for(cluster, member):
    began = time.monotonic()
    refuse_taken(cluster, "score", "worker-a")  # at its address nobody answers
    assert time.monotonic() - began < 5


def test_a_process_elsewhere_that_cannot_be_asked_keeps_its_slot_while_it_is_a_member(cluster, member):
    with pytest.raises(SlotTaken, match="is a member of the group and stays one"):
        refuse_taken(quick(cluster), "score", "worker-a", lambda url: None, lambda url: False)


def test_a_process_elsewhere_that_leaves_the_group_gives_its_slot_up(cluster, member):
    looked = []

    def is_here(url):
        looked.append(url)
        if len(looked) == 2:
            member.stop()
        return False

    refuse_taken(cluster, "score", "worker-a", lambda url: None, is_here)
    assert len(looked) >= 2


@pytest.mark.parametrize(
    "slot", ["", "a b", "a/b", "a" * 101, "\n"], ids=["empty", "space", "slash", "long", "newline"]
)
def test_a_slot_is_a_name(slot):
    with pytest.raises(ValueError, match="use 1 to 100 letters"):
        check_slot(slot)


@pytest.mark.parametrize(
    ("host", "slot"),
    [
        ("8c1f0a3b52d4", "8c1f0a3b52d4"),
        ("worker-0.worker.ns", "worker-0.worker.ns"),
        ("böse host", "b-se-host"),
        ("", "0"),
    ],
    ids=["container", "pod", "strange", "none"],
)
def test_each_host_is_a_slot_of_its_own(monkeypatch, host, slot):
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert default_slot() == check_slot(slot) == slot
