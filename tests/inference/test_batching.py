import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import (
    ArtefactError,
    Failure,
    Fatal,
    Limits,
    ModelBroken,
    ModelPackage,
    OutOfMemory,
    Outputs,
    Patience,
    Score,
    Scorer,
    Serving,
    Shapes,
    Unavailable,
    matrix_of,
)
from inference.serving.hung_calls import hung_call
from streams.wire.block import Block
from streams.wire.records import Route
from streams.wire.schema import Feature

PACKAGE = ModelPackage(
    name="m", version="v1", task="binary", artefact="m.py:M", inputs=(Feature("x"),), limits=Limits(batch_rows=16)
)


class Recorder:
    """The score is the feature; some values make it fail."""

    shapes = Shapes((16,))

    def __init__(self, fails=lambda matrix: False):
        self.fails = fails
        self.seen = []

    def score(self, matrix):
        self.seen.append(matrix.shape)
        if self.fails(matrix):
            raise ValueError("no such customer")
        return matrix[:, :1]


def behind(model, sleeps=None, **changes):
    package = PACKAGE if not changes else ModelPackage(**{k: getattr(PACKAGE, k) for k in FIELDS} | changes)
    return Scorer(package, model, Patience(), sleep=(sleeps if sleeps is not None else []).append)


FIELDS = ("name", "version", "task", "artefact", "inputs", "limits")


def column(*values):
    return np.array(values, np.float32)[:, None]


@settings(max_examples=60)
@given(cuts=st.lists(st.integers(0, 700), max_size=12), seed=st.integers(0, 9))
def test_a_score_does_not_depend_on_its_company(scorer, table, cuts, seed):
    """Any split and any order of the rows gives the same bytes."""
    matrix = matrix_of(table, scorer.package.schema)[:700]
    whole = scorer(matrix).values
    order = np.random.default_rng(seed).permutation(len(matrix))
    parts = np.split(order, sorted(cuts))
    scattered = np.empty_like(whole)
    for part in parts:
        scattered[part] = scorer(matrix[part]).values
    assert scattered.tobytes() == whole.tobytes()


def test_the_model_always_sees_its_batch_shape():
    model = Recorder()
    values = np.linspace(0, 1, 37, dtype=np.float32)[:, None]
    assert np.array_equal(behind(model)(values).values, values)
    assert set(model.seen) == {(16, 1)}
    assert len(model.seen) == 1 + 3  # the blank batch at load, then 37 rows by 16


def test_no_rows_ask_for_no_pass():
    model = Recorder()
    assert behind(model)(np.zeros((0, 1), np.float32)).values.shape == (0, 1)
    assert len(model.seen) == 1


def test_a_passing_failure_is_tried_again():
    sleeps, left = [], [2]

    def twice(matrix):
        left[0] -= bool(matrix.any())
        return left[0] >= 0 and matrix.any()

    scores = behind(Recorder(twice), sleeps)(column(0.1, 0.2))
    assert scores.values[:, 0].tolist() == column(0.1, 0.2)[:, 0].tolist() and not scores.failures
    assert sleeps == [Patience().wait_s_first]  # at once, then after a pause


@given(st.sets(st.integers(0, 39), min_size=1, max_size=39))
def test_the_rows_at_fault_are_found_and_the_others_scored(bad):
    values = np.full(40, 0.25, np.float32)
    values[sorted(bad)] = 0.75
    scores = behind(Recorder(lambda matrix: (matrix == 0.75).any()))(values[:, None])
    assert scores.failures == dict.fromkeys(bad, Failure("ValueError: no such customer", 3))
    assert np.array_equal(np.isnan(scores.values[:, 0]), values == 0.75)
    assert (scores.values[values == 0.25] == 0.25).all()


def test_a_model_that_fails_on_blank_rows_too_is_broken_and_nobody_is_blamed():
    broken = [False]
    scoring = behind(Recorder(lambda matrix: broken[0]))
    broken[0] = True
    with pytest.raises(ModelBroken, match=r"m v1 fails, and now on blank rows too: .*no such customer"):
        scoring(column(0.1, 0.2))


def test_a_single_row_at_fault_is_blamed_while_blank_rows_pass():
    scores = behind(Recorder(lambda matrix: matrix.any()))(column(0.5))
    assert scores.failures == {0: Failure("ValueError: no such customer", 3)}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "model gave NaN"),
        (np.inf, "model gave inf"),
        (-np.inf, "model gave -inf"),
        (1.5, "model gave 1.5, a probability lies in 0..1; end it with a sigmoid or softmax"),
        (-0.25, "model gave -0.25, a probability lies in 0..1; end it with a sigmoid or softmax"),
    ],
)
def test_a_score_that_is_none_is_a_failure(value, said):
    assert behind(Recorder())(column(0.5, value, 0.75)).failures == {1: Failure(said)}


def test_a_regression_may_say_anything_finite():
    scores = behind(Recorder(), task="regression")(column(-3.5, 1e30, np.inf))
    assert scores.failures == {2: Failure("model gave inf")}


def test_a_probability_a_hair_above_one_is_rounding():
    assert not behind(Recorder())(column(1 + 1e-6)).failures


@pytest.mark.parametrize(
    ("predict", "changes", "said"),
    [
        (lambda matrix: matrix[:5, 0], {}, r"an array of \(5, 1\), wanted \[16, 1 or 2\]"),
        (lambda matrix: np.zeros((16, 3), np.float32), {}, r"an array of \(16, 3\)"),
        (lambda matrix: matrix[:, 0], {"task": "multiclass", "outputs": Outputs(("a", "b", "c"))}, r"wanted \[16, 3\]"),
        (lambda matrix: 1 / 0, {}, "ZeroDivisionError"),
    ],
)
def test_a_model_that_fails_on_blank_rows_is_refused_at_load(predict, changes, said):
    model = type("M", (), {"shapes": Shapes((16,)), "score": staticmethod(predict)})
    with pytest.raises(ArtefactError, match=said):
        behind(model, **changes)


def test_scores_can_be_cut():
    scores = behind(Recorder())(column(0.5, np.nan, 0.75, np.nan))
    assert scores[1:3].failures == {0: Failure("model gave NaN")}
    assert scores[3:].failures == {0: Failure("model gave NaN")}


def test_who_waits_is_told_how_many_rows_are_scored():
    told = []
    behind(Recorder())(column(*[0.5] * 40), told.append)
    assert told == [16, 32, 40]


class Unspeakable(Exception):
    """Its text cannot be made."""

    def __str__(self):
        raise SystemExit(1)


class Silent(BaseException):
    """Passes every `except Exception`."""


RAISED = {
    "SystemExit": SystemExit(3),
    "GeneratorExit": GeneratorExit(),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "CancelledError": asyncio.CancelledError(),
    "StopIteration": StopIteration(),
    "StopAsyncIteration": StopAsyncIteration(),
    "RecursionError": RecursionError("too deep"),
    "MemoryError": MemoryError(),
    "Silent": Silent("nobody hears"),
    "BaseExceptionGroup": BaseExceptionGroup("two", [SystemExit(), GeneratorExit()]),
    "Unspeakable": Unspeakable(),
    "ValueError": ValueError("half a pair \ud800"),
}


def in_thread(call):
    """The outcome of a call in a thread that is not the main one, as a worker processes."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(60)


@pytest.mark.parametrize("raised", RAISED.values(), ids=RAISED.keys())
def test_whatever_a_model_raises_is_the_fault_of_its_row_alone(raised):
    class Model:
        shapes = Shapes((16,))

        def score(self, matrix):
            if (matrix == 0.75).any():
                raise raised
            return matrix[:, :1]

    scores = in_thread(lambda: behind(Model())(column(0.25, 0.75, 0.5)))
    assert list(scores.failures) == [1] and scores.failures[1].why.startswith(type(raised).__name__)
    scores.failures[1].why.encode()  # it becomes a header
    assert scores.values[[0, 2], 0].tolist() == [0.25, 0.5]


@pytest.mark.parametrize("raised", RAISED.values(), ids=RAISED.keys())
def test_whatever_a_model_raises_on_every_row_breaks_it_and_blames_nobody(raised):
    broken = []

    class Model:
        shapes = Shapes((16,))

        def score(self, matrix):
            if broken:
                raise raised
            return matrix[:, :1]

    scoring = behind(Model())
    broken.append(True)
    with pytest.raises(ModelBroken, match=type(raised).__name__):
        in_thread(lambda: scoring(column(0.25, 0.75)))


def test_a_model_that_breaks_in_the_middle_blames_no_row():
    passes = [3]  # the blank batch at load, then one row of the two; the whole batch fails before

    def dies(matrix):
        passes[0] -= 1
        return passes[0] < 0 or ((matrix == 0.25).any() and (matrix == 0.75).any())

    model = Recorder(dies)
    scoring = Scorer(PACKAGE, model, Patience(attempts_max=2), sleep=lambda s: None)
    passes[0] = 3  # both tries of the whole, then the first row
    with pytest.raises(ModelBroken, match="blank rows too"):
        scoring(column(0.25, 0.75))


def test_a_model_that_turns_to_nonsense_blames_nobody_and_one_that_always_was_does():
    broken = []

    class Model:
        shapes = Shapes((16,))

        def score(self, matrix):
            return np.full((len(matrix), 1), np.nan if broken else 0.5)

    scoring = behind(Model())
    assert not scoring(column(0.1)).failures
    broken.append(True)
    with pytest.raises(ModelBroken, match=r"nonsense for every row.*model gave NaN"):
        scoring(column(0.1, 0.2))
    always = behind(Model())  # blank rows gave NaN when it was loaded: they prove nothing
    assert list(always(column(0.1, 0.2)).failures) == [0, 1]


def test_what_a_model_does_to_its_batch_is_seen_by_no_other_batch():
    class Model:
        shapes = Shapes((16,))

        def score(self, matrix):
            out = matrix.sum(1, keepdims=True) + matrix.max()  # its company would show
            matrix[:] = 1e6
            return out

    scoring = behind(Model(), task="regression")
    first = scoring(column(0.25)).values.tobytes()
    assert scoring(column(0.25)).values.tobytes() == first == np.array([0.5], np.float32).tobytes()


def test_ctrl_c_ends_the_process_that_a_person_stops():
    class Model:
        shapes = Shapes((16,))

        def score(self, matrix):
            if matrix.any():
                raise KeyboardInterrupt  # in the main thread it is a person's
            return matrix[:, :1]

    scoring = behind(Model())
    with pytest.raises(KeyboardInterrupt):
        scoring(column(0.5))


BUCKETS = Limits(batch_rows=64, buckets=(16, 32))


class Device:
    """The score is the feature; it has memory for so many rows, and raises what a test sets."""

    shapes = Shapes((16, 32, 64))

    def __init__(self, memory_rows=64):
        self.memory_rows = memory_rows
        self.raises = None
        self.seen = []

    def score(self, matrix):
        self.seen.append(len(matrix))
        if self.raises:
            raise self.raises
        if len(matrix) > self.memory_rows:
            raise OutOfMemory("cuda:0: out of memory")
        return matrix[:, :1]


def on(device, sleeps=None):
    scoring = behind(device, sleeps, limits=BUCKETS)
    device.seen.clear()
    return scoring


def ramp(rows):
    return np.linspace(0, 1, rows, dtype=np.float32)[:, None]


@pytest.mark.parametrize(
    ("rows", "batches"),
    [(1, [16]), (16, [16]), (17, [32]), (33, [64]), (64, [64]), (65, [64, 16]), (150, [64, 64, 32])],
)
def test_the_last_rows_meet_the_smallest_shape_that_holds_them(rows, batches):
    device = Device()
    scores = on(device)(ramp(rows))
    assert device.seen == batches
    assert np.array_equal(scores.values, ramp(rows))
    assert scores.buckets.tolist() == [bucket for bucket in batches for _ in range(bucket)][:rows]


@given(st.lists(st.sampled_from([16, 32, 64, 0, 48]), max_size=150))
def test_a_recorded_shape_is_met_again(recorded):
    device = Device()
    scores = on(device)(ramp(len(recorded)), buckets=np.array(recorded, np.int32))
    assert np.array_equal(scores.values, ramp(len(recorded)))
    known = [(then, now) for then, now in zip(recorded, scores.buckets.tolist(), strict=True) if then in (16, 32, 64)]
    assert all(then == now for then, now in known)
    assert {*scores.buckets.tolist()} <= {16, 32, 64}


def test_without_memory_for_a_batch_smaller_ones_are_scored_and_its_size_is_tried_again_later():
    device = Device()
    scoring = on(device)
    device.memory_rows = 32
    scores = scoring(ramp(130))
    assert np.array_equal(scores.values, ramp(130)) and not scores.failures
    assert device.seen == [64, 32, 32, 32, 32, 16]  # the large one is tried once
    assert scores.buckets.tolist() == [32] * 128 + [16] * 2
    device.memory_rows = 64
    device.seen.clear()
    for _ in range(30):
        scoring(ramp(130))
    assert 64 in device.seen and device.seen.index(64) >= 90


def test_a_device_that_has_too_little_memory_when_the_model_is_loaded_begins_small():
    device = Device(memory_rows=32)
    scoring = behind(device, limits=BUCKETS)
    device.seen.clear()
    assert scoring(ramp(64)).buckets.tolist() == [32] * 64 and device.seen == [32, 32]
    with pytest.raises(ArtefactError, match="batch of 16 blank rows: OutOfMemory"):
        behind(Device(memory_rows=8), limits=BUCKETS)


def test_memory_that_not_even_blank_rows_have_is_waited_for_and_nobody_is_blamed():
    device = Device()
    scoring = on(device)
    device.memory_rows = 0
    with pytest.raises(Unavailable, match="m v1 waits for memory: cuda:0: out of memory"):
        scoring(ramp(40))
    device.memory_rows = 64
    assert not scoring(ramp(40)).failures


def test_a_row_that_takes_all_memory_by_itself_is_at_fault():
    class Hungry(Device):
        def score(self, matrix):
            if (matrix == 0.5).any():
                raise OutOfMemory("MemoryError")
            return super().score(matrix)

    values = ramp(40)
    values[7] = 0.5
    scores = behind(Hungry(), limits=BUCKETS)(values)
    assert list(scores.failures) == [7] and "MemoryError" in scores.failures[7].why
    assert np.array_equal(np.delete(scores.values, 7, 0), np.delete(values, 7, 0))


@pytest.mark.parametrize("error", [Unavailable("no answer from grpc://a:1"), Fatal("cuda:0: device lost")])
def test_what_is_no_rows_fault_is_called_once_and_never_bisected(error):
    device, sleeps = Device(), []
    scoring = on(device, sleeps)
    device.raises = error
    with pytest.raises(type(error), match=str(error)):
        scoring(ramp(64))
    assert device.seen == [64] and sleeps == []
    device.raises = None
    assert not scoring(ramp(64)).failures


def test_a_device_that_goes_away_while_rows_at_fault_are_looked_for_blames_nobody():
    device = Device()
    scoring = on(device)

    def score(matrix):
        device.seen.append(len(matrix))
        raise Unavailable("gone") if len(device.seen) > 4 else ValueError("seven is not for us")

    device.score = score
    with pytest.raises(Unavailable, match="gone"):
        scoring(ramp(64))


@pytest.mark.parametrize("buckets", [(32, 16), (16, 16), (64,), (128,)])
def test_buckets_ascend_below_the_largest_batch(buckets):
    with pytest.raises(ValueError, match=r"limits.buckets .*: list them ascending, below 64"):
        Limits(batch_rows=64, buckets=buckets)


WHY = "m v1 has had one batch for {} s; limits.call_s_max = 2 in its model.toml"


@pytest.mark.parametrize(
    ("champion", "shadows", "expected"),
    [("v1", (), ["", "", WHY.format(2), WHY.format(61)]), ("v2", ("v1",), [""] * 4)],
)
@pytest.mark.parametrize("meanwhile", [None, {"champion": "v2"}, {"champion": "v2", "shadows": ("v1",)}])
def test_a_batch_that_takes_longer_than_its_model_says_is_told_and_a_shadows_is_not(
    champion, shadows, expected, meanwhile
):
    now, whys = [1_000.0], []

    class Slow(Device):
        def score(self, matrix):
            if matrix.any():
                if meanwhile:  # the call goes on, whatever the next route says
                    serving.follow(Route(model="m", epoch=2, ts=0, **meanwhile))
                whys.extend(hung_call(step.answering, now[0] + ms) for ms in (0, 2_000, 2_001, 61_000))
            return super().score(matrix)

    package = msgspec.structs.replace(PACKAGE, limits=Limits(batch_rows=64, buckets=(16, 32), call_s_max=2))
    known = {"v1": Scorer(package, Slow(), ticks=lambda: now[0]), "v2": behind(Device(), limits=BUCKETS)}
    serving = Serving(lambda name, version: known[version])
    serving.follow(Route(model="m", epoch=1, ts=0, champion=champion, shadows=shadows))
    step = Score(serving)
    step.process([Block.of("requests", 0, [msgspec.json.encode(dict.fromkeys(PACKAGE.schema.names, 1.0))])])
    assert whys == expected
    assert hung_call(step.answering, 1e9) == ""  # it has returned


def test_there_are_not_more_shapes_than_a_load_can_try():
    with pytest.raises(ValueError, match=r"limits.buckets: 17 shapes[,;] at most 16"):
        Limits(batch_rows=512, buckets=tuple(range(16, 17 * 16 + 1, 16)))


class Ahead:
    """The score is the feature; batches are taken before their time, and computed when they are waited for."""

    shapes = Shapes((16,))

    def __init__(self, submit_fails=lambda matrix: None, wait_fails=lambda matrix: None):
        self.notes = []
        self._submit_fails, self._wait_fails = submit_fails, wait_fails

    def submit(self, matrix):
        self.notes.append(("submit", float(matrix[0, 0])))
        if error := self._submit_fails(matrix):
            raise error

        def wait():
            self.notes.append(("wait", float(matrix[0, 0])))
            if error := self._wait_fails(matrix):
                raise error
            return matrix[:, :1]

        return wait

    def score(self, matrix):
        self.notes.append(("score", float(matrix[0, 0])))
        if error := self._submit_fails(matrix) or self._wait_fails(matrix):
            raise error
        return matrix[:, :1]


def numbers(rows):
    return (np.arange(rows, dtype=np.float32) / 128)[:, None]


def test_a_batch_is_handed_to_a_device_before_the_one_before_is_waited_for():
    device = Ahead()
    scorer = behind(device)
    device.notes.clear()
    scores = scorer(numbers(40))
    assert scores.values[:, 0].tolist() == numbers(40)[:, 0].tolist() and not scores.failures
    first, second, third = 0.0, 16 / 128, 32 / 128
    assert device.notes == [
        *(("submit", first), ("submit", second), ("wait", first)),
        *(("submit", third), ("wait", second), ("wait", third)),
    ]


@pytest.mark.parametrize("when", ["submit_fails", "wait_fails"])
def test_a_row_at_fault_is_found_on_a_device_that_has_two_batches(when):
    device = Ahead(**{when: lambda matrix: ValueError("no such customer") if (matrix == 20 / 128).any() else None})
    scores = behind(device)(numbers(40))
    assert list(scores.failures) == [20] and scores.failures[20].why == "ValueError: no such customer"
    kept = [n for n in range(40) if n != 20]
    assert scores.values[kept, 0].tolist() == numbers(40)[kept, 0].tolist()


@pytest.mark.parametrize("error", [Unavailable("away"), Fatal("the device is lost")])
def test_what_is_no_row_s_fault_ends_the_call_whatever_the_device_has(error):
    lost = []
    device = Ahead(wait_fails=lambda matrix: error if lost else None)
    scorer = behind(device)
    lost.append(True)
    with pytest.raises(type(error)):
        scorer(numbers(40))
    assert scorer.call_began_ms is None


def test_memory_that_lacks_for_the_second_batch_halves_it_in_its_place():
    class Small(Ahead):
        shapes = Shapes((16, 32))

    device = Small(submit_fails=lambda matrix: OutOfMemory("full") if len(matrix) == 32 and full else None)
    full = []
    scorer = behind(device, limits=Limits(batch_rows=32, buckets=(16,)))
    full.append(True)
    scores = scorer(numbers(70))
    assert scores.values[:, 0].tolist() == numbers(70)[:, 0].tolist()
    assert set(scores.buckets.tolist()) == {16}


def test_a_hang_is_seen_while_a_batch_is_handed_to_the_device_and_while_it_is_waited_for():
    began = []

    def look(matrix):
        began.append(scorer.call_began_ms if scorer else None)

    scorer = None
    device = Ahead(submit_fails=look, wait_fails=look)
    scorer = behind(device)
    began.clear()
    scorer(numbers(40))
    assert len(began) == 6 and None not in began and scorer.call_began_ms is None
