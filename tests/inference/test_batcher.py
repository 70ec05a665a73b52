"""Rows of several callers in one batch: each gets its own, nobody is harmed by another, and the queue has an end."""

from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from doubling import DEADLINE_S, Doubling, package_of
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from inference import Fatal, Patience, Scorer, Unavailable
from inference.serving.batcher import Batcher, QueueFull, Stopping


def batcher_of(shapes=(16, 64), wait_ms=0, name="m", **more):
    model = Doubling(shapes)
    scorer = Scorer(package_of(name, "v1", shapes, wait_ms), model, Patience(), sleep=lambda s: None)
    model.forget()
    return Batcher(scorer, **more), model


def column(*values):
    return np.array(values, np.float32)[:, None]


@pytest.fixture
def held():
    """A batcher whose model computes one row, 99, until the gate is opened: what comes meanwhile waits."""
    batcher, model = batcher_of()
    model.hold()
    first = batcher.submit(column(99))
    assert model.inside.acquire(timeout=DEADLINE_S)
    yield batcher, model
    model.gate.set()
    assert first.result(DEADLINE_S).values.tolist() == [[198]]
    batcher.close()
    assert batcher.join(DEADLINE_S)


def test_requests_that_wait_are_joined_and_each_caller_gets_its_rows(held):
    batcher, model = held
    futures = [batcher.submit(column(*range(10 * n, 10 * n + n))) for n in range(1, 6)]
    model.gate.set()
    for n, future in enumerate(futures, 1):
        scores = future.result(DEADLINE_S)
        assert scores.values[:, 0].tolist() == [2.0 * (10 * n + k) for k in range(n)]
        assert scores.buckets.tolist() == [16] * n
    assert [len(seen) for seen in model.seen] == [16, 16]  # the held row; 1 + 2 + 3 + 4 + 5 rows


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 150), min_size=1, max_size=20), seed=st.integers(0, 9))
def test_any_split_among_callers_gives_each_its_own_rows(sizes, seed):
    batcher, _ = batcher_of()
    rng = np.random.default_rng(seed)
    matrices = [rng.normal(size=(rows, 1)).astype(np.float32) for rows in sizes]
    with ThreadPoolExecutor(4) as pool:
        futures = list(pool.map(batcher.submit, matrices))
    for matrix, future in zip(matrices, futures, strict=True):
        assert np.array_equal(future.result(DEADLINE_S).values, 2 * matrix)
    batcher.close()


def test_bad_rows_of_one_caller_harm_nobody_else(held):
    batcher, model = held
    good, bad, other = (batcher.submit(column(*values)) for values in ((1, 2), (3, 13, 4), (5,)))
    model.gate.set()
    assert good.result(DEADLINE_S).values[:, 0].tolist() == [2, 4] and not good.result().failures
    assert other.result(DEADLINE_S).values.tolist() == [[10]] and not other.result().failures
    scores = bad.result(DEADLINE_S)
    assert list(scores.failures) == [1] and "thirteen" in scores.failures[1].why
    assert scores.values[[0, 2], 0].tolist() == [6, 8] and np.isnan(scores.values[1, 0])


def test_a_caller_that_is_gone_is_not_computed_for(held):
    batcher, model = held
    gone, stays = batcher.submit(column(7)), batcher.submit(column(8))
    assert gone.cancel()
    model.gate.set()
    assert stays.result(DEADLINE_S).values.tolist() == [[16]]
    assert all(7 not in seen for seen in model.seen)


def test_the_queue_is_bounded_in_rows_and_those_who_went_leave_room(held):
    batcher, model = held
    whole = batcher.submit(np.zeros((batcher.rows_waiting_max, 1), np.float32))
    with pytest.raises(QueueFull, match=rf"m v1: {batcher.rows_waiting_max} rows wait, .* 1 more came; ask again"):
        batcher.submit(column(1))
    whole.cancel()
    later = batcher.submit(column(1))
    model.gate.set()
    assert later.result(DEADLINE_S).values.tolist() == [[2]]


def test_a_shape_that_is_asked_for_is_used_whoever_else_is_in_the_batch(held):
    batcher, model = held
    free, large = batcher.submit(column(1)), batcher.submit(column(2), bucket=64)
    model.gate.set()
    assert (free.result(DEADLINE_S).buckets.tolist(), large.result(DEADLINE_S).buckets.tolist()) == ([16], [64])


def test_a_batch_is_waited_for_as_long_as_the_model_says():
    """The clock stands still: nothing is due until the rows fill the largest shape."""
    now = [0.0]
    batcher, model = batcher_of((16,), wait_ms=10_000, ticks=lambda: now[0])
    early = batcher.submit(column(*range(10)))
    assert wait([early], 0.05).not_done
    filling = batcher.submit(column(*range(6)))
    assert len(early.result(DEADLINE_S).values) + len(filling.result(DEADLINE_S).values) == 16
    assert len(model.seen) == 1
    late = batcher.submit(column(1))
    now[0] = 10_000.0
    batcher.submit(column(1))  # wakes it up
    assert late.result(DEADLINE_S).values.tolist() == [[2]]
    batcher.close()


def test_what_does_not_answer_is_everybodys_and_the_next_batch_passes(held):
    batcher, model = held
    model.gate.set()
    batcher.submit(column(0)).result(DEADLINE_S)  # the held batch is done
    model.hold()
    both = [batcher.submit(column(1)), batcher.submit(column(2))]
    model.error = Unavailable("the server is away")
    model.gate.set()
    for future in both:
        with pytest.raises(Unavailable, match="the server is away"):
            future.result(DEADLINE_S)
    model.error = None
    assert batcher.submit(column(3)).result(DEADLINE_S).values.tolist() == [[6]]


def test_a_lost_device_ends_it_and_nobody_waits_for_ever():
    errors = []
    batcher, model = batcher_of(on_fatal=errors.append)
    model.hold()
    computing = batcher.submit(column(1))
    assert model.inside.acquire(timeout=DEADLINE_S)
    waiting = batcher.submit(column(2))
    model.error = Fatal("the device is lost")
    model.gate.set()
    with pytest.raises(Fatal):
        computing.result(DEADLINE_S)
    with pytest.raises(Stopping, match="the device is lost"):
        waiting.result(DEADLINE_S)
    assert batcher.join(DEADLINE_S) and errors == [model.error] and batcher.health() == "m v1 ends"
    with pytest.raises(Stopping):
        batcher.submit(column(1))


def test_what_waits_when_it_is_closed_is_still_scored_and_nothing_new_is_taken(held):
    batcher, model = held
    waiting = batcher.submit(column(4))
    batcher.close()
    with pytest.raises(Stopping, match="m v1 takes no new rows"):
        batcher.submit(column(5))
    model.gate.set()
    assert waiting.result(DEADLINE_S).values.tolist() == [[8]]
    assert batcher.join(DEADLINE_S)


def test_batches_tell_rows_padding_requests_and_times():
    batcher, _ = batcher_of((16, 64), name="told")
    batcher.submit(np.zeros((70, 1), np.float32)).result(DEADLINE_S)
    batcher.close()
    assert batcher.join(DEADLINE_S)

    def metric(name):
        return REGISTRY.get_sample_value(f"driftline_{name}", {"model": "told", "version": "v1"})

    names = ("batches_total", "batch_requests_total", "batch_rows_total", "batch_padding_rows_total")
    assert [metric(name) for name in names] == [1, 1, 70, 10]  # 64 + 6 of 16
    assert metric("batch_seconds_count") == 1 and metric("request_wait_seconds_count") == 1
