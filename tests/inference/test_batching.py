import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference import ArtefactError, Failure, Limits, ModelBroken, ModelPackage, Outputs, Patience, Scorer, matrix_of
from streams.wire.schema import Feature

PACKAGE = ModelPackage(
    name="m", version="v1", task="binary", artefact="m.py:M", inputs=(Feature("x"),), limits=Limits(batch_rows=16)
)


class Recorder:
    """The score is the feature; some values make it fail."""

    def __init__(self, fails=lambda matrix: False):
        self.fails = fails
        self.shapes = []

    def predict(self, matrix):
        self.shapes.append(matrix.shape)
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
    assert set(model.shapes) == {(16, 1)}
    assert len(model.shapes) == 1 + 3  # the blank batch at load, then 37 rows by 16


def test_no_rows_ask_for_no_pass():
    model = Recorder()
    assert behind(model)(np.zeros((0, 1), np.float32)).values.shape == (0, 1)
    assert len(model.shapes) == 1


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
    model = type("M", (), {"predict": staticmethod(predict)})
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
        def predict(self, matrix):
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
        def predict(self, matrix):
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
        def predict(self, matrix):
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
        def predict(self, matrix):
            out = matrix.sum(1, keepdims=True) + matrix.max()  # its company would show
            matrix[:] = 1e6
            return out

    scoring = behind(Model(), task="regression")
    first = scoring(column(0.25)).values.tobytes()
    assert scoring(column(0.25)).values.tobytes() == first == np.array([0.5], np.float32).tobytes()


def test_ctrl_c_ends_the_process_that_a_person_stops():
    class Model:
        def predict(self, matrix):
            if matrix.any():
                raise KeyboardInterrupt  # in the main thread it is a person's
            return matrix[:, :1]

    scoring = behind(Model())
    with pytest.raises(KeyboardInterrupt):
        scoring(column(0.5))
