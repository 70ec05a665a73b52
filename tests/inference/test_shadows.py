"""Shadows beside those who answer: when they score, what they may lose, and what they never do."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client import REGISTRY

from inference import Fatal, Limits, ModelPackage, Outputs, Score, Scorer, Serving, Shadows, Shapes
from inference.scoring import shadows as room
from inference.scoring.in_hand import InHand
from streams.runtime.stage import Work
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.effects import Effects
from streams.wire.records import Route
from streams.wire.schema import Feature

DEADLINE_S = 30.0


class Same:
    """The score is the feature."""

    shapes = Shapes((16,))

    def __init__(self, before: Callable[[np.ndarray], None] = lambda matrix: None) -> None:
        self.before = before

    def score(self, matrix):
        if matrix.any():
            self.before(matrix)
        return matrix[:, :1]


def scorer(version: str, backend: Any) -> Scorer:
    package = ModelPackage(
        name="m",
        version=version,
        task="regression",
        artefact="m.py:M",
        inputs=(Feature("x"),),
        limits=Limits(batch_rows=16),
        outputs=Outputs(),
    )
    return Scorer(package, backend)


def step(shadow: Any, shadows: Shadows, **more: Any) -> Score:
    known = {"v1": scorer("v1", Same()), "v2": scorer("v2", shadow)}
    serving = Serving(lambda name, version: known[version])
    serving.follow(Route(model="m", epoch=1, ts=0, champion="v1", shadows=("v2",)))
    return Score(serving, shadows=shadows, **more)


def blocks(first: int, *values: float) -> list[Block]:
    return [Block.of("requests", 0, [msgspec.json.encode({"x": value}) for value in values], first=first)]


def at_once(**more: Any) -> Shadows:
    return Shadows(run=lambda version, call: call(), **more)


def observed(effects: Effects, version: str) -> list[tuple[int, float]]:
    """Offset and score of what a version is told to have said."""
    rows = []
    for message in effects.publish:
        if message.topic == "observations":
            head, batch = observation.decode(message.value or b"")
            if head.version == version:
                rows += zip(batch.column("offset").to_pylist(), batch.column("score").to_pylist(), strict=True)
    return rows


def left_out() -> float:
    return REGISTRY.get_sample_value("driftline_shadow_rows_left_out_total", {"model": "m", "version": "v2"}) or 0.0


def test_a_shadow_scores_once_its_requests_are_committed_and_leaves_with_the_next_micro_batch():
    scored = step(Same(), at_once())
    first, second = blocks(0, 1, 2), blocks(2, 3)
    [effects] = scored.process(first)
    assert observed(effects, "v1") == [(0, 1.0), (1, 2.0)] and observed(effects, "v2") == []
    scored.committed(first)
    [effects] = scored.process(second)
    assert observed(effects, "v1") == [(2, 3.0)] and observed(effects, "v2") == [(0, 1.0), (1, 2.0)]
    scored.committed(second)
    assert observed(scored.idle("requests", 0), "v2") == [(2, 3.0)]  # nothing comes that it could leave with
    assert not scored.asleep("requests", 0).publish


def test_requests_that_come_again_are_scored_by_a_shadow_once():
    scored = step(Same(), at_once())
    first = blocks(0, 1, 2)
    scored.process(first)
    scored.dropped(first)
    again = blocks(0, 1, 2)
    [effects] = scored.process(again)
    assert observed(effects, "v2") == []
    scored.committed(again)
    assert observed(scored.idle("requests", 0), "v2") == [(0, 1.0), (1, 2.0)]


def test_what_a_shadow_said_leaves_with_the_micro_batch_that_is_finished_and_not_with_the_one_begun_behind_it():
    ticks = itertools.count(0, 50)  # a model that takes long
    scored = step(Same(), at_once(), overlaps=True, ticks=lambda: next(ticks))
    first = blocks(0, 1)
    scored.process(first)
    scored.committed(first)
    second, third = blocks(1, 2), blocks(2, 3)
    work, behind = scored.process(second), scored.process(third)
    work.compute()
    assert observed(work.finish()[0], "v2") == [(0, 1.0)]
    scored.dropped(second)
    scored.dropped(third)
    again = blocks(1, 2)
    work = scored.process(again)
    work.compute()
    assert observed(work.finish()[0], "v2") == [(0, 1.0)]
    assert isinstance(behind, Work)


@pytest.mark.parametrize("leaves", ["process", "idle"])
def test_what_was_said_leaves_once_although_a_commit_fails(leaves):
    scored = step(Same(), at_once())
    first, second = blocks(0, 1), blocks(1, 2) if leaves == "process" else []
    scored.process(first)
    scored.committed(first)
    effects = [*scored.process(second), scored.idle("requests", 0)]
    assert [row for each in effects for row in observed(each, "v2")] == [(0, 1.0)]
    scored.dropped(second)
    again = list(second)
    effects = [*scored.process(again), scored.idle("requests", 0)]
    assert [row for each in effects for row in observed(each, "v2")] == [(0, 1.0)]
    scored.committed(again)
    assert observed(scored.idle("requests", 0), "v2") == ([(1, 2.0)] if leaves == "process" else [])


def test_nobody_waits_for_a_slow_shadow_and_what_it_cannot_score_is_counted(monkeypatch):
    monkeypatch.setattr(room, "ROWS_WAITING_MAX", 4)
    go, began = threading.Event(), threading.Event()

    def slow(matrix: np.ndarray) -> None:
        began.set()
        assert go.wait(DEADLINE_S)

    shadows, before = Shadows(), left_out()
    scored = step(Same(slow), shadows)
    for n in range(6):
        batch = blocks(2 * n, 1 + 2 * n, 2 + 2 * n)
        [effects] = scored.process(batch)
        assert observed(effects, "v1") == [(2 * n, 1.0 + 2 * n), (2 * n + 1, 2.0 + 2 * n)]
        scored.committed(batch)
    assert began.wait(DEADLINE_S)
    assert left_out() - before == 8  # two micro-batches of two rows wait, four are left out
    go.set()
    rows: list[tuple[int, float]] = []
    end = time.monotonic() + DEADLINE_S
    while len(rows) < 4:
        assert time.monotonic() < end, rows
        rows += observed(scored.idle("requests", 0), "v2")
        time.sleep(0.01)
    assert rows == [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]


def test_a_shadow_that_breaks_or_says_nonsense_harms_nobody():
    def breaks(matrix: np.ndarray) -> None:
        if (matrix == 7).any():
            raise ValueError("seven is not for us")

    shadow = Same(breaks)
    scored = step(shadow, at_once())
    first = blocks(0, 7, 1)
    scored.process(first)
    scored.committed(first)
    assert observed(scored.idle("requests", 0), "v2") == [(1, 1.0)]

    def broken(matrix: np.ndarray) -> None:
        raise SystemExit(3)

    shadow.before = broken
    second = blocks(2, 1)
    [effects] = scored.process(second)
    scored.committed(second)
    assert observed(effects, "v1") == [(2, 1.0)] and observed(scored.idle("requests", 0), "v2") == []


def test_a_lost_device_of_a_shadow_ends_the_process():
    def lost(matrix: np.ndarray) -> None:
        raise Fatal("cuda:0: device lost")

    scored = step(Same(lost), at_once())
    first = blocks(0, 1)
    scored.process(first)
    scored.committed(first)
    with pytest.raises(Fatal, match="device lost"):
        scored.process(blocks(1, 2))


def test_a_shadow_that_has_ended_three_processes_scores_no_more(tmp_path):
    file = tmp_path / "shadow-in-hand"
    for _ in range(3):
        holding = InHand(file).holding("m", "v2", [room._RECORD])
        holding.__enter__()  # and the process ends
    before = left_out()
    scored = step(Same(), at_once(in_hand=lambda name: InHand(file)))
    first = blocks(0, 1)
    [effects] = scored.process(first)
    scored.committed(first)
    assert observed(effects, "v1") == [(0, 1.0)] and observed(scored.idle("requests", 0), "v2") == []
    assert left_out() - before == 1


def test_a_replay_scores_what_a_shadow_scored_then():
    def recorded(model, version, block, rows):
        return np.array([16, 0, 16], np.int32)[: len(rows)] if version == "v2" else np.full(len(rows), 16, np.int32)

    known = {"v1": scorer("v1", Same()), "v2": scorer("v2", Same())}
    serving = Serving(lambda name, version: known[version])
    serving.follow(Route(model="m", epoch=1, ts=0, champion="v1", shadows=("v2",)))
    [effects] = Score(serving, recorded=recorded).process(blocks(0, 1, 2, 3))
    assert observed(effects, "v1") == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert observed(effects, "v2") == [(0, 1.0), (2, 3.0)]


def test_a_shadow_that_hangs_holds_up_no_other_shadow():
    go = threading.Event()
    hangs, sound = scorer("v2", Same(lambda matrix: go.wait(DEADLINE_S))), scorer("v3", Same())
    known = {"v1": scorer("v1", Same()), "v2": hangs, "v3": sound}
    serving = Serving(lambda name, version: known[version])
    serving.follow(Route(model="m", epoch=1, ts=0, champion="v1", shadows=("v2", "v3")))
    scored = Score(serving, shadows=Shadows())
    rows: list[tuple[int, float]] = []
    for n in range(3):
        batch = blocks(n, 1.0 + n)
        rows += observed(scored.process(batch)[0], "v3")
        scored.committed(batch)
    end = time.monotonic() + DEADLINE_S
    while len(rows) < 3:
        assert time.monotonic() < end, rows
        rows += observed(scored.idle("requests", 0), "v3")
        time.sleep(0.01)
    go.set()
    assert rows == [(0, 1.0), (1, 2.0), (2, 3.0)]


def test_two_callers_of_a_model_take_turns():
    inside, most = [0], [0]

    def count(matrix: np.ndarray) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1

    model = scorer("v1", Same(count))
    threads = [threading.Thread(target=model, args=(np.ones((64, 1), np.float32),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert most == [1]


def test_a_shadow_that_cannot_be_started_harms_nobody_and_is_counted():
    def no_thread(version: Any, call: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    before = left_out()
    scored = step(Same(), Shadows(run=no_thread))
    for n in range(2):
        batch = blocks(n, 1)
        [effects] = scored.process(batch)
        scored.committed(batch)
        assert observed(effects, "v1") == [(n, 1.0)]
    assert left_out() - before == 2


def test_a_shadow_that_ends_a_process_now_and_then_is_not_trusted_after_one_good_batch(tmp_path):
    file, ended = tmp_path / "shadow-in-hand", []

    def scored_in(process: int) -> list[tuple[int, float]]:
        hand = InHand(file, forget_after=3)
        scored = step(Same(), at_once(in_hand=lambda name: hand))
        first = blocks(process, 1)
        scored.process(first)
        scored.committed(first)
        rows = observed(scored.idle("requests", 0), "v2")
        ended.append(hand.holding("m", "v2", [room._RECORD]))
        ended[-1].__enter__()  # and the process ends
        return rows

    assert [len(scored_in(n)) for n in range(5)] == [1, 1, 1, 0, 0]


def test_a_process_that_is_told_to_end_blames_no_shadow(tmp_path):
    file, ended = tmp_path / "shadow-in-hand", []
    for n in range(4):
        hand = InHand(file)
        shadows = at_once(in_hand=lambda name, hand=hand: hand)
        scored = step(Same(), shadows)
        first = blocks(n, 1)
        scored.process(first)
        scored.committed(first)
        assert len(observed(scored.idle("requests", 0), "v2")) == 1
        ended.append(hand.holding("m", "v2", [room._RECORD]))
        ended[-1].__enter__()
        shadows.let_go()
