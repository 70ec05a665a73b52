"""The batching controller by law, on a worker that is simulated by hand: a fixed time, and a time a row."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.runtime.batch_control import BatchChoice, BatchControl, BatchTarget, Committed, sizes
from streams.runtime.batch_guard import BatchGuard
from streams.runtime.service_times import ServiceTimes

ROWS_MAX = 5_000


class Worker:
    """Answers one micro-batch after another: ``fixed_ms + row_ms * rows`` each, of which committing takes 10 ms."""

    def __init__(self, control: BatchControl, fixed_ms: float = 20.0, row_ms: float = 0.1) -> None:
        self.control = control
        self.fixed_ms, self.row_ms = fixed_ms, row_ms
        self.now_ms = 0.0
        self.waiting: deque[float] = deque()
        self.choices: list[BatchChoice] = []
        self.ages: list[np.ndarray] = []
        self.rows: list[int] = []

    def run(self, rows_per_ms: float, for_ms: float, at_once: int = 0) -> "Worker":
        """Let records come for so long: so many at once at the beginning, the others evenly."""
        came, until = self.now_ms, self.now_ms + for_ms
        self.waiting.extend([came] * at_once)
        while self.now_ms < until:
            choice = self.control.choice
            ready = max(self.now_ms, self.waiting[0] if self.waiting else came + 1 / rows_per_ms)
            missing = max(0, choice.rows_wanted - len(self.waiting))
            self.now_ms = ready + min(choice.wait_ms, missing / rows_per_ms)
            fresh = int((self.now_ms - came) * rows_per_ms)
            self.waiting.extend(came + np.arange(1, fresh + 1) / rows_per_ms)
            came += fresh / rows_per_ms
            taken = [self.waiting.popleft() for _ in range(min(len(self.waiting), choice.rows_max))]
            if taken:
                self._answer(np.array(taken), int((self.now_ms - came) * rows_per_ms))
        return self

    def _answer(self, taken: np.ndarray, unseen: int) -> None:
        process_ms = self.fixed_ms - 10 + self.row_ms * len(taken)
        self.now_ms += process_ms + 10
        ages = self.now_ms - taken
        waiting = len(self.waiting) + unseen
        self.control.observe(Committed(self.now_ms, len(taken), ages, process_ms, 10.0, waiting))
        self.choices.append(self.control.choice)
        self.ages.append(ages)
        self.rows.append(len(taken))

    def p99_ms(self, last: int) -> float:
        """Of the records of the last micro-batches."""
        return float(np.quantile(np.concatenate(self.ages[-last:]), 0.99))


def control(latency_ms: int = 200, wait_ms: int = 20, shape: int = 512) -> BatchControl:
    return BatchControl(BatchTarget(latency_ms, wait_ms, shape), ROWS_MAX)


times_ms = st.floats(0, 10_000)


@settings(max_examples=60, deadline=None)
@given(
    latency_ms=st.integers(1, 2_000),
    wait_ms=st.integers(0, 500),
    shape=st.sampled_from([16, 64, 512, 8_192]),
    rows_max=st.integers(1, ROWS_MAX),
    told=st.lists(st.tuples(st.integers(0, 5_000), times_ms, times_ms, times_ms, st.integers(0, 10**7)), max_size=60),
)
def test_whatever_comes_rows_and_wait_stay_within_their_bounds(latency_ms, wait_ms, shape, rows_max, told):
    tuned = BatchControl(BatchTarget(latency_ms, wait_ms, shape), rows_max)
    now_ms = 0.0
    for rows, process_ms, commit_ms, age_ms, waiting in told:
        now_ms += process_ms + commit_ms
        choice = tuned.observe(Committed(now_ms, rows, np.full(min(rows, 9), age_ms), process_ms, commit_ms, waiting))
        assert 1 <= choice.rows_max <= rows_max
        assert 0 <= choice.wait_ms <= min(wait_ms, latency_ms)
        assert choice.rows_wanted <= choice.rows_max


def test_the_first_window_is_that_of_the_default():
    worker = Worker(control()).run(1.0, 1_900)
    assert set(worker.choices) == {BatchChoice(ROWS_MAX)}
    assert worker.run(1.0, 1_000).control.tuned


def test_the_largest_size_is_taken_that_a_cycle_and_a_span_leave_room_for():
    # 20 ms + .1 ms a row, of which 10 ms commit: a cycle is 10 + .1 R, a span 20 + .1 R; 1,024 rows take 234 ms of 240.
    worker = Worker(control(latency_ms=240, wait_ms=0))
    for _ in range(8):  # sizes differ, so the slope is known
        worker.run(1.0, 900).run(1.0, 100, at_once=600)
    assert worker.choices[-1].rows_max == 1_024


def test_a_target_that_is_met_stays_met_and_a_wait_saves_work_without_missing_it():
    eager, patient = (Worker(control(wait_ms=wait), row_ms=0.01).run(2.0, 20_000) for wait in (0, 20))
    assert eager.p99_ms(100) <= 200 and patient.p99_ms(100) <= 200
    assert {choice.wait_ms for choice in eager.choices} == {0}
    assert patient.choices[-1].wait_ms == 20
    assert sum(patient.rows[-100:]) > 1.4 * sum(eager.rows[-100:])  # records of as many fixed parts


def test_where_nothing_is_gained_there_is_no_wait():
    rare = Worker(control()).run(0.002, 600_000)  # the next one comes in half a second
    full = Worker(control()).run(8.0, 20_000)  # what waits fills the shape
    assert {choice.wait_ms for choice in (*rare.choices, *full.choices[-100:])} == {0}


def test_a_target_that_cannot_be_met_gets_the_smallest_latency():
    impossible = Worker(control(latency_ms=5, wait_ms=4)).run(1.0, 30_000)
    default = Worker(control(latency_ms=100_000, wait_ms=0)).run(1.0, 30_000)
    assert {choice.wait_ms for choice in impossible.choices} == {0}
    assert impossible.p99_ms(200) <= 1.05 * default.p99_ms(200)
    assert len(impossible.waiting) < 100  # and it keeps up with what comes


def test_it_recovers_after_a_burst():
    worker = Worker(control()).run(1.0, 10_000)
    before = worker.p99_ms(50)
    worker.run(1.0, 2_000, at_once=20_000)
    assert worker.p99_ms(5) > 200
    worker.run(1.0, 60_000)
    assert worker.control.tuned
    assert worker.p99_ms(50) <= 1.05 * before


def test_a_model_that_grows_slower_gets_smaller_batches():
    worker = Worker(control())
    for _ in range(8):
        worker.run(1.0, 900).run(1.0, 100, at_once=600)
    quick = worker.choices[-1].rows_max
    worker.row_ms *= 4
    for _ in range(60):
        worker.run(0.2, 900).run(0.2, 100, at_once=200)
    assert worker.choices[-1].rows_max < quick


def window(guard: BatchGuard, late_share: float, rows: int = 1_000) -> None:
    """One window of two seconds, so that the guard decides once."""
    window.now_ms += 2_000
    ages = np.where(np.arange(1_000) < 1_000 * late_share, 500.0, 1.0)
    assert guard.observe(window.now_ms, rows, ages, took_ms=2_000) is not None


window.now_ms = 0.0


@pytest.fixture
def guard():
    window.now_ms = 0.0
    return BatchGuard(100.0)


def test_a_controller_that_meets_the_target_is_let_alone(guard):
    for _ in range(100):
        window(guard, 0.009)
        assert guard.tuned


def until_tuned(guard: BatchGuard, late_share: float) -> int:
    """How many windows of the default pass until the controller holds again."""
    count = 0
    while not guard.tuned:
        window(guard, late_share)
        count += 1
    return count


def test_where_the_default_is_late_less_often_it_holds_longer_each_time(guard):
    window(guard, 0.0)
    window(guard, 0.2)  # the controller misses the target
    first = until_tuned(guard, 0.0)  # a trial, and then it holds
    window(guard, 0.2)
    second = until_tuned(guard, 0.0)
    window(guard, 0.2)
    assert first < second < until_tuned(guard, 0.0)


def test_where_the_default_is_no_better_it_goes_back_at_the_end_of_its_trial(guard):
    window(guard, 0.3)
    controllers = 0
    for _ in range(100):
        window(guard, 0.2)
        controllers += guard.tuned
    assert controllers > 80


def test_a_default_that_does_worse_in_its_trial_gives_way_at_once(guard):
    window(guard, 0.0)
    window(guard, 0.2)
    assert not guard.tuned
    assert until_tuned(guard, 0.9) <= 2


def test_where_all_is_late_throughput_decides(guard):
    for rows, better in ((1_000, False), (3_000, True)):  # of the default; the controller's are 2,000
        guard = BatchGuard(100.0)
        window(guard, 1.0, rows)  # the default
        window(guard, 1.0, 2_000)
        assert not guard.tuned  # a trial of the default
        for _ in range(8):
            if not guard.tuned:
                window(guard, 1.0, rows)
        assert guard.tuned is not better


@settings(max_examples=50, deadline=None)
@given(
    process=st.tuples(st.floats(0.1, 100), st.floats(0.001, 2)),
    rows=st.lists(st.integers(1, 5_000), min_size=3, max_size=40, unique=True),
)
def test_times_that_lie_on_a_line_are_learnt_from_any_two_sizes(process, rows):
    times = ServiceTimes()
    for n in rows:
        times.observe(n, process[0] + process[1] * n, 10.0)
    assert times.commit.at(7) == pytest.approx(10.0)
    if len({n.bit_length() for n in rows}) > 1:
        for n in (1, 100, 5_000):
            assert times.process.at(n) == pytest.approx(process[0] + process[1] * n, rel=1e-3)


def test_a_commit_that_stumbles_is_no_property_of_the_model():
    times = ServiceTimes()
    for _ in range(50):
        times.observe(100, 5.0, 10.0)
    times.observe(100, 5.0, 60_000.0)
    assert times.commit.at(100) < 15


def test_what_cannot_be_true_any_more_is_forgotten():
    times = ServiceTimes()
    times.observe(1_000, 100.0, 10.0)
    for _ in range(20):
        times.observe(100, 400.0, 10.0)  # the model is forty times slower now
    assert times.process.at(1_000) > 350


def test_a_size_that_is_not_seen_any_more_is_forgotten():
    times = ServiceTimes()
    times.observe(4_000, 900.0, 10.0)
    for _ in range(10_002):
        times.observe(100, 5.0, 10.0)
    assert times.process.at(4_000) == pytest.approx(5.0)


@pytest.mark.parametrize("rows_max", [1, 15, 16, 100, 5_000])
def test_sizes_lie_within_their_bounds(rows_max):
    for shape in (16, 64, 4_096):
        ladder = sizes(shape, rows_max)
        assert list(ladder) == sorted(set(ladder)) and ladder[0] >= 1 and ladder[-1] == rows_max
