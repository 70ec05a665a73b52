"""Commits to the store, killed at every step: every record is written once under its token."""

import confluent_kafka as ck
import msgspec
import pytest

from streams.kafka.cluster import Cluster
from streams.runtime import intents
from streams.runtime.intents import CutLimits, IntentStep
from streams.runtime.set_aside import letters_of
from streams.wire.block import Block
from streams.wire.dead_letters import letters
from streams.wire.effects import Publish
from streams.wire.refusals import Refusal

CLUSTER = Cluster(bootstrap="nowhere:9092", prefix="p.")  # names topics; never connected
OFFSETS = [0, 1, 2, 5, 6, 7, 8, 11, 12, 13]  # with the gaps that commit markers leave
AT_ONCE = CutLimits(rows_max=4, wait_ms_max=0)
CUTS = {"p.counts/0/0-5": [0, 1, 2, 5], "p.counts/0/6-11": [6, 7, 8, 11], "p.counts/0/12-13": [12, 13]}


class Killed(Exception):
    """The process ends here."""


class World:
    """What outlives a process: the group's committed offset, and a store that takes a token once."""

    def __init__(self) -> None:
        self.commits: list[tuple[int, str]] = [(0, "")]
        self.store: dict[str, list[int]] = {}
        self.effects = 0
        self.dies: tuple[int, str] | None = None
        self.bad: set[bytes] = set()
        self.letters: list[Publish] = []
        self.told = 0

    def _happen(self, effect) -> None:
        mine = self.effects
        self.effects += 1
        if self.dies == (mine, "before"):
            raise Killed
        effect()
        if self.dies == (mine, "after"):
            raise Killed

    def commit(self, offsets: list[ck.TopicPartition]) -> None:
        (at,) = offsets
        assert (at.topic, at.partition) == ("p.counts", 0)
        self._happen(lambda: self.commits.append((at.offset, at.metadata or "")))

    def announce(self, sent: list[Publish], at: ck.TopicPartition) -> None:
        def leave() -> None:
            self.letters += sent
            self.commits.append((at.offset, at.metadata or ""))

        self._happen(leave)

    def prepare(self, block: Block) -> "Ready":
        return Ready(self, block)

    def insert(self, token: str, offsets: list[int]) -> None:
        def insert() -> None:
            assert self.store.setdefault(token, offsets) == offsets

        self._happen(insert)

    def run(self, split: int, limits: CutLimits = AT_ONCE) -> IntentStep:
        """One process: from what is committed to the end of the log, in blocks of ``split`` records."""
        position, memory = self.commits[-1]
        step = IntentStep(CLUSTER, self.prepare, limits)
        step.assign("counts", 0, position, memory)
        left = [offset for offset in OFFSETS if offset >= position]
        for i in range(0, len(left), split):
            step.process([block(left[i : i + split])])
        step.commit(self.commit, self.announce)
        return step


class Ready:
    """A block of which the records at fault are left out."""

    def __init__(self, world: World, block: Block) -> None:
        self._world, self._block = world, block
        bad = [at for at, value in enumerate(block.values) if value in world.bad]
        self._rows = [offset for at, offset in enumerate(block.offsets) if at not in bad]
        self.letters = letters_of(block, [Refusal(at, "undecodable", "$", "cut") for at in bad], "sink")

    def write(self, token: str) -> None:
        self._world.insert(token, self._rows)

    def tell(self) -> None:
        self._world.told += len(self.letters)


def block(offsets: list[int]) -> Block:
    n = len(offsets)
    return Block("counts", 0, offsets, [0] * n, [None] * n, [b"%d" % o for o in offsets], [None] * n)


def test_without_a_fault_every_cut_is_intended_done_and_said():
    world = World()
    world.run(split=3)
    assert world.store == CUTS
    said = [(at, bool(memory)) for at, memory in world.commits[1:]]
    assert said == [(0, True), (6, False), (6, True), (12, False), (12, True), (14, False)]


@pytest.mark.parametrize("split", [1, 3, 10])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(3 * len(CUTS)))
def test_killed_at_any_line_each_record_is_written_once_under_its_token(step, when, split):
    world = World()
    world.dies = (step, when)
    with pytest.raises(Killed):
        world.run(split=10)
    world.run(split=split)
    assert world.store == CUTS
    assert world.commits[-1] == (14, "")


def test_an_intent_outlives_other_limits():
    world = World()
    world.dies = (1, "after")  # written, not said
    with pytest.raises(Killed):
        world.run(split=10)
    world.run(split=10, limits=CutLimits(rows_max=100, wait_ms_max=0))
    assert world.store == {"p.counts/0/0-5": [0, 1, 2, 5], "p.counts/0/6-13": [6, 7, 8, 11, 12, 13]}


def test_a_planned_block_waits_until_it_is_read_whole():
    world = World()
    world.commits.append((0, '{"until": 5, "messages": 4}'))
    step = IntentStep(CLUSTER, world.prepare, AT_ONCE)
    step.assign("counts", 0, *world.commits[-1])
    step.process([block([0, 1, 2])])
    assert step.commit(world.commit, world.announce) == 0
    step.process([block([5])])
    assert step.commit(world.commit, world.announce) == 4
    assert world.store == {"p.counts/0/0-5": [0, 1, 2, 5]}


def test_a_log_that_is_not_the_intended_one_is_refused():
    world = World()
    world.commits.append((0, '{"until": 4, "messages": 4}'))
    with pytest.raises(ValueError, match="truncated or recreated"):
        world.run(split=10)
    assert world.store == {}


def test_few_and_young_records_wait_and_revoked_ones_are_forgotten():
    world = World()
    step = world.run(split=10, limits=CutLimits(rows_max=100, wait_ms_max=3_600_000))
    assert world.store == {}
    step.revoke("counts", 0)
    assert step.commit(world.commit, world.announce) == 0
    world.run(split=10)
    assert world.store == CUTS


def test_what_is_urgent_goes_first_and_before_what_waited_when_it_came():
    written: list[str] = []

    class Wrote(Ready):
        def write(self, token: str) -> None:
            written.append(token)
            if len(written) == 2:  # a report is processed meanwhile
                step.process([one_of("reports", 1, 7)])

    def one_of(topic: str, partition: int, offset: int) -> Block:
        return Block(topic, partition, [offset], [0], [None], [b"x"], [None])

    step = IntentStep(CLUSTER, lambda block: Wrote(World(), block), AT_ONCE, order=["reports", "counts"])
    places = [("observations", 0), ("counts", 0), ("reports", 0), ("reports", 1)]
    for topic, partition in places:
        step.assign(topic, partition, 0, "")
    step.process([one_of(topic, partition, 3) for topic, partition in places[:3]])
    assert step.commit(lambda offsets: None, lambda sent, at: None) == 4
    assert written == ["p.reports/0/3-3", "p.counts/0/3-3", "p.reports/1/7-7", "p.observations/0/3-3"]


# --- Records at fault. ---

BAD = {b"1", b"2", b"8", b"13"}
STORED = {"p.counts/0/0-5": [0, 5], "p.counts/0/6-11": [6, 7, 11], "p.counts/0/12-13": [12]}


def sources(sent: list[Publish]) -> list[str]:
    n = len(sent)
    lying = Block("dead-letters", 0, range(n), [0] * n, *zip(*((m.key, m.value, m.headers) for m in sent), strict=True))
    return [letter.source for letter in letters(lying)]


@pytest.mark.parametrize("split", [1, 3, 10])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(3 * len(CUTS)))
def test_killed_at_any_line_a_record_at_fault_is_one_letter_and_the_others_are_written_once(step, when, split):
    world = World()
    world.bad, world.dies = BAD, (step, when)
    with pytest.raises(Killed):
        world.run(split=10)
    world.run(split=split)
    assert world.store == STORED
    assert sources(world.letters) == [f"counts/0/{offset}" for offset in (1, 2, 8, 13)]
    assert world.commits[-1] == (14, "")


def test_a_block_that_is_repeated_publishes_no_letter_again_and_tells_of_them_once():
    world = World()
    world.bad, world.dies = BAD, (1, "before")
    with pytest.raises(Killed):
        world.run(split=10)
    assert world.commits[-1] == (0, '{"until":5,"messages":4,"letters":2}')
    world.run(split=10)
    assert (len(world.letters), world.told) == (4, 4)


def test_an_intent_of_an_older_version_set_nothing_aside_so_its_letters_leave_now():
    world = World()
    world.bad = BAD
    world.commits.append((0, '{"until": 5, "messages": 4}'))
    world.run(split=10)
    assert world.store == STORED
    assert len(world.letters) == 4


def test_a_block_ends_where_its_letters_fill_a_transaction(monkeypatch):
    monkeypatch.setattr(intents, "LETTERS_MAX", 1)
    world = World()
    world.bad = BAD
    world.run(split=10)
    assert world.store == {
        "p.counts/0/0-1": [0],
        "p.counts/0/2-7": [5, 6, 7],
        "p.counts/0/8-12": [11, 12],
        "p.counts/0/13-13": [],
    }
    assert sources(world.letters) == [f"counts/0/{offset}" for offset in (1, 2, 8, 13)]
    assert all(msgspec.json.decode(memory)["letters"] == 1 for _, memory in world.commits if memory)


def test_fewer_records_than_a_cut_holds_wait_for_so_long_since_the_last_insert():
    now, world = [1_000.0], World()
    step = IntentStep(CLUSTER, world.prepare, CutLimits(rows_max=4, wait_ms_max=500), clock=lambda: now[0])
    step.assign("counts", 0, 0, "")
    step.process([block([0, 1])])
    for now[0], rows in ((1_499, 0), (1_500, 2)):
        assert step.commit(world.commit, world.announce) == rows
    step.process([block([2, 5, 6, 7, 8])])
    assert step.commit(world.commit, world.announce) == 4  # a whole cut does not wait
    for now[0], rows in ((1_999, 0), (2_000, 1)):
        assert step.commit(world.commit, world.announce) == rows
