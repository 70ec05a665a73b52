"""The pipeline with lists: what overlaps, in which order it commits, and what becomes of what fails."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY

from streams.away import Away
from streams.runtime.handover import HandOver, Stuck
from streams.runtime.microbatch import MicroBatch, Silence
from streams.runtime.pipeline import PAUSES_S, Pipeline
from streams.runtime.stage import Step, Work
from streams.runtime.transactions import Aborted, Fenced, Processed
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish

DEADLINE_S = 10.0


class Upper(Step):
    """Answers each record in capitals, and says which blocks it was given, in order."""

    def __init__(self, before: Callable[[int], None] = lambda first: None) -> None:
        self.processed: list[int] = []
        self._before = before

    def process(self, blocks: Sequence[Block]) -> list[Effects]:
        for block in blocks:
            self._before(block.first)
            self.processed.append(block.first)
        return [Effects([Publish("predictions", (value or b"").upper()) for value in b.values]) for b in blocks]

    def idle(self, topic: str, partition: int) -> Effects:
        return Effects([Publish("counts", b"idle")] if partition else ())

    def asleep(self, topic: str, partition: int) -> Effects:
        return Effects([Publish("counts", b"asleep")])


class Elsewhere(Upper):
    """The same, computed by somebody else; it notes what each thread does."""

    def __init__(self, before: Callable[[int], None] = lambda first: None, small: Sequence[int] = ()) -> None:
        super().__init__(before)
        self.notes: list[tuple[str, int]] = []
        self.may_compute = [threading.Event() for _ in range(5)]
        self._small = small

    def process(self, blocks: Sequence[Block]) -> Any:
        self.notes.append(("begin", blocks[0].first))
        return super().process(blocks) if blocks[0].first in self._small else Computed(self, blocks)

    def wait_for(self, part: str, first: int) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while (part, first) not in self.notes:
            assert time.monotonic() < deadline, (part, first, self.notes)
            time.sleep(0.001)


class Computed(Work):
    """A micro-batch that is computed once the test lets it."""

    def __init__(self, step: Elsewhere, blocks: Sequence[Block]) -> None:
        self._step, self._blocks = step, blocks

    def compute(self) -> None:
        assert threading.current_thread().name == "by-hand-compute_0"
        first = self._blocks[0].first
        self._step.notes.append(("compute", first))
        assert self._step.may_compute[first].wait(DEADLINE_S)
        self._step._before(first)

    def finish(self) -> list[Effects]:
        assert threading.current_thread().name == "by-hand-process_0"
        self._step.notes.append(("finish", self._blocks[0].first))
        return [Effects([Publish("predictions", (value or b"").upper()) for value in b.values]) for b in self._blocks]


class Log:
    """A source and a sink: records of one partition, read from what is committed, as a consumer reads them."""

    def __init__(self, *values: bytes, commit: Callable[[int], None] = lambda first: None) -> None:
        self.values = values
        self.committed: list[bytes | None] = []
        self.attempts: list[int] = []
        self.pauses: list[float] = []
        self.in_flight = HandOver(lambda offsets: None)
        self._commit = commit
        self._handed = 0

    def commit(self, processed: Sequence[Processed], membership: Any) -> None:
        """What a transaction does: all of it, or nothing."""
        assert membership == "member"
        for block, _ in processed:
            self.attempts.append(block.last)
            assert isinstance(block, Silence) or block.last == len(self.committed), "out of order"
            self._commit(block.last)
        self.committed += [message.value for _, effects in processed for message in effects.publish]

    async def batches(self, at_once: int = 2) -> AsyncIterator[MicroBatch]:
        """Micro-batches of one record each; after a rewind from what is committed, once nothing is in flight."""
        while len(self.committed) < len(self.values):
            if self.in_flight.rewinding and self.in_flight.drain(0):
                self.in_flight.rewound()
                self._handed = len(self.committed)
            room = not self.in_flight.rewinding and self.in_flight._in_flight < at_once
            if room and self._handed < len(self.values):
                block = Block.of("requests", 0, [self.values[self._handed]], first=self._handed)
                self._handed += 1
                yield self.in_flight.hand_over([block], membership="member")
            await asyncio.sleep(0)

    async def pause(self, seconds: float) -> None:
        """Note that it is waited, and that what failed is in flight as long as it is."""
        assert not self.in_flight.drain(0)
        self.pauses.append(seconds)

    def run(self, step: Any, commit_s_max: float | None = None, at_once: int = 2) -> Pipeline:
        """Pass everything on, within a deadline; nothing is in flight when it ends."""
        pipeline = Pipeline("by-hand", step, commit_s_max=commit_s_max, pause=self.pause)
        try:
            asyncio.run(asyncio.wait_for(pipeline.run(self.batches(at_once), self.commit), DEADLINE_S))
        finally:
            pipeline.close()
        assert self.in_flight.drain(0)
        return pipeline


def failing(*errors: Exception | None) -> Callable[[int], None]:
    """Fails as often as there are errors, and then no more."""
    left = list(errors)

    def fail(_: int) -> None:
        if left and (error := left.pop(0)) is not None:
            raise error

    return fail


def test_everything_is_committed_once_in_the_order_in_which_it_was_read():
    log, step = Log(b"a", b"b", b"c", b"d"), Upper()
    log.run(step, at_once=4)
    assert log.committed == [b"A", b"B", b"C", b"D"]
    assert step.processed == [0, 1, 2, 3] and log.pauses == []


def test_one_is_processed_while_the_one_before_it_commits_and_none_further_ahead():
    second = threading.Event()
    ahead: list[int] = []

    def commit(first: int) -> None:
        if first == 0:
            assert second.wait(DEADLINE_S)  # only processing beside this commit sets it
        ahead.append(len(step.processed) - first)

    step = Upper(lambda first: second.set() if first == 1 else None)
    log = Log(*[b"x"] * 5, commit=commit)
    log.run(step, at_once=5)
    assert step.processed == [0, 1, 2, 3, 4]
    assert max(ahead) == 2  # itself and the next one, however many wait


@pytest.mark.parametrize("where", ["process", "commit"])
def test_what_fails_is_read_again_after_a_pause_that_grows_and_nothing_is_committed_twice(where):
    errors = [None, *[ValueError("broken")] * 7]
    step, log = Upper(), Log(b"a", b"b", b"c")
    if where == "process":
        step = Upper(failing(*errors))
    else:
        log = Log(b"a", b"b", b"c", commit=failing(*errors))
    log.run(step, at_once=1)
    assert log.committed == [b"A", b"B", b"C"]
    assert log.pauses == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]


def test_a_commit_that_succeeds_makes_the_pauses_short_again():
    log = Log(b"a", b"b", commit=failing(Aborted("1"), Aborted("2"), None, Aborted("3")))
    log.run(Upper(), at_once=1)
    assert log.pauses == [PAUSES_S[0], PAUSES_S[1], PAUSES_S[0]]


def test_what_was_processed_behind_a_commit_that_failed_is_dropped_and_processed_again():
    second = threading.Event()
    errors = [Aborted("a partition has gone")]

    def commit(first: int) -> None:
        if errors:
            assert second.wait(DEADLINE_S)
            raise errors.pop()

    step = Upper(lambda first: second.set() if first == 1 else None)
    log = Log(b"a", b"b", commit=commit)
    log.run(step)
    assert log.committed == [b"A", b"B"]
    assert step.processed[:2] == [0, 1] and step.processed[-2:] == [0, 1]


def test_a_batch_of_an_older_epoch_is_neither_processed_nor_committed():
    log, step = Log(), Upper()
    old = log.in_flight.hand_over([Block.of("requests", 0, [b"old"])], membership="member")
    log.in_flight.rewind()

    async def batches() -> AsyncIterator[MicroBatch]:
        yield old

    asyncio.run(Pipeline("by-hand", step).run(batches(), log.commit))
    assert step.processed == log.committed == [] and log.in_flight.drain(0)


def test_what_is_rewound_while_it_is_processed_is_not_committed():
    log = Log(b"a")
    errors = [True]

    def rewound(_: int) -> None:
        if errors.pop() if errors else False:
            log.in_flight.rewind()  # a rebalance

    step = Upper(rewound)
    log.run(step, at_once=1)
    assert step.processed == [0, 0] and log.committed == [b"A"] and log.pauses == []


@pytest.mark.parametrize("error", [Fenced("another process holds this slot"), Stuck("a commit does not return")])
def test_who_is_fenced_ends_and_commits_nothing_more(error):
    log = Log(b"a", b"b", b"c", commit=failing(None, error))
    with pytest.raises(type(error), match=str(error)):
        log.run(Upper(), at_once=3)
    assert log.committed == [b"A"] and log.attempts == [0, 1] and log.pauses == []


def test_a_commit_that_does_not_return_ends_it():
    returns = threading.Event()
    log = Log(b"a", commit=lambda _: returns.wait(DEADLINE_S) and None)
    try:
        with pytest.raises(Stuck, match="has not returned for 0 s"):
            log.run(Upper(), commit_s_max=0.05)
    finally:
        returns.set()


def test_a_failure_for_want_of_something_that_is_away_is_told_apart():
    assert Log(b"a", commit=failing(Away("the store does not answer"))).run(Upper()).away
    assert not Log(b"a", commit=failing(Away("the store"), ValueError("broken"))).run(Upper()).away


def test_one_micro_batch_computes_while_the_next_is_begun_and_the_one_before_is_finished_and_committed():
    step, committing, may_commit = Elsewhere(), threading.Event(), threading.Event()

    def commit(first: int) -> None:
        if first == 0:
            committing.set()
            assert may_commit.wait(DEADLINE_S)

    async def run() -> list[bytes | None]:
        log = Log(b"a", b"b", b"c", b"d", commit=commit)
        pipeline = Pipeline("by-hand", step, pause=log.pause)
        running = asyncio.create_task(pipeline.run(log.batches(at_once=3), log.commit))
        await asyncio.to_thread(step.wait_for, "begin", 1)  # while 0 computes
        assert ("finish", 0) not in step.notes
        step.may_compute[0].set()
        assert await asyncio.to_thread(committing.wait, DEADLINE_S)
        await asyncio.to_thread(step.wait_for, "compute", 1)  # while 0 is committed
        await asyncio.to_thread(step.wait_for, "begin", 2)
        for event in (*step.may_compute, may_commit):
            event.set()
        await asyncio.wait_for(running, DEADLINE_S)
        pipeline.close()
        return log.committed

    assert asyncio.run(run()) == [b"A", b"B", b"C", b"D"]
    assert [first for part, first in step.notes if part == "compute"] == [0, 1, 2, 3]
    assert [first for part, first in step.notes if part == "finish"] == [0, 1, 2, 3]


@pytest.mark.parametrize("small", [(0, 2), (1, 3), (1, 2)])
def test_what_computes_is_not_overtaken_by_what_does_not(small):
    step, log = Elsewhere(small=small), Log(b"a", b"b", b"c", b"d")
    for event in step.may_compute:
        event.set()
    log.run(step, at_once=3)
    assert log.committed == [b"A", b"B", b"C", b"D"]


def test_what_fails_while_it_computes_is_read_again_and_what_was_begun_behind_it():
    step = Elsewhere(failing(Away("the device"), ValueError("broken")))
    log = Log(b"a", b"b", b"c")
    for event in step.may_compute:
        event.set()
    assert not log.run(step, at_once=3).away
    assert log.committed == [b"A", b"B", b"C"] and log.pauses == [PAUSES_S[0], PAUSES_S[1]]


def test_silences_that_say_something_are_committed_with_the_blocks():
    log = Log()
    idle = [Silence("requests", partition, partition == 2, 0) for partition in (0, 1, 2)]
    batch = log.in_flight.hand_over([], idle, membership="member")

    async def batches() -> AsyncIterator[MicroBatch]:
        yield batch

    asyncio.run(Pipeline("by-hand", Upper()).run(batches(), log.commit))
    assert log.committed == [b"idle", b"asleep"]  # partition 0 had nothing to say


def test_after_a_stop_no_further_commit_begins():
    async def run() -> list[bytes | None]:
        log = Log(b"a", b"b")
        pipeline = Pipeline("by-hand", Upper())
        assert await pipeline.stop(1.0)
        running = asyncio.create_task(pipeline.run(log.batches(), log.commit))
        while len(log.in_flight._requests) or log._handed < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert log.in_flight.drain(0)  # a cancelled one leaves, too
        return log.committed

    assert asyncio.run(run()) == []


def test_a_commit_under_way_is_waited_for_so_long():
    returns, begun = threading.Event(), threading.Event()

    def commit(_: int) -> None:
        begun.set()
        returns.wait(DEADLINE_S)

    async def run() -> None:
        log = Log(b"a", commit=commit)
        pipeline = Pipeline("by-hand", Upper())
        running = asyncio.create_task(pipeline.run(log.batches(), log.commit))
        assert await asyncio.to_thread(begun.wait, DEADLINE_S)
        assert not await pipeline.stop(0.05)
        returns.set()
        assert await pipeline.stop(DEADLINE_S)
        await asyncio.wait_for(running, DEADLINE_S)
        assert log.committed == [b"A"]

    asyncio.run(run())


def test_it_tells_of_what_it_does():
    def told(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"step": "by-hand"}) or 0.0

    names = ("driftline_rows_settled_total", "driftline_turns_settled_total", "driftline_turns_failed_total",
             "driftline_fold_seconds_count", "driftline_settle_seconds_count")  # fmt: skip
    before = [told(name) for name in names]
    Log(b"a", b"b", b"c", commit=failing(ValueError("broken"))).run(Upper(), at_once=1)
    assert [told(name) - was for name, was in zip(names, before, strict=True)] == [3, 3, 1, 4, 3]
