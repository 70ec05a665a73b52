"""The kernel against NumPy, and the law of sums: any split, order or grouping adds up to the same bits."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drift import Cells, Reference
from drift.cells import binning
from drift.cells.kernel import FIXED_MAX, Grid, count_numbers
from drift.cells.sums import Sums, sum_groups, sum_rows

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def counted(edges: tuple[float, ...], values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells = Cells(name="x", edges=edges)
    counts = np.zeros((1, cells.size), np.int64)
    moments, extremes = np.zeros((1, 2), np.int64), np.full((1, 2), np.nan, np.float32)
    count_numbers(values, np.array([len(values)]), Grid.over(cells.bounds), 0.0, 4096.0, 0, counts, moments, extremes)
    return counts[0], moments[0], extremes[0]


@given(
    edges=hnp.arrays(
        np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    ),
    values=hnp.arrays(np.float32, st.integers(0, 80), elements=FLOATS),
)
@settings(max_examples=300)
def test_look_up_is_searchsorted(edges, values):
    frozen = tuple(sorted(set(edges.tolist())))
    # Values at and beside the edges are where rounding would show.
    at = np.array(frozen, np.float32)
    beside = [np.nextafter(at, np.float32(np.inf)), np.nextafter(at, np.float32(-np.inf))]
    values = np.concatenate([values, at, *beside]).astype(np.float32)
    cells = Cells(name="x", edges=frozen)
    expected = np.bincount(cells.index(values), minlength=cells.size)
    np.testing.assert_array_equal(counted(frozen, values)[0], expected)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "standard_cauchy", "random"])
def test_on_real_shapes_too(draw):
    rng = np.random.default_rng(7)
    values = getattr(rng, draw)(size=20_000).astype(np.float32)
    cells = Cells(name="x", edges=binning.edges(values))
    counts, moments, extremes = counted(cells.edges, values)
    np.testing.assert_array_equal(counts, np.bincount(cells.index(values), minlength=cells.size))
    steps = np.clip(np.rint(values.astype(np.float64) * 4096), -FIXED_MAX, FIXED_MAX).astype(np.int64)
    assert moments.tolist() == [steps.sum(), (steps**2).sum()]
    assert extremes.tolist() == [values.min(), values.max()]


FRAME = pd.DataFrame(
    {
        "x": np.random.default_rng(1).normal(size=400).astype(np.float32),
        "y": np.random.default_rng(2).choice(["a", "b", "c", None], 400),
        "z": np.random.default_rng(3).choice([0.0, 1.5, np.nan, np.inf, 1e30], 400),
        "on": np.random.default_rng(4).choice([True, False], 400),
    }
)
REFERENCE = Reference.fit(FRAME[:100])


def same(left: Sums, right: Sums) -> bool:
    return left.rows == right.rows and all(
        getattr(left, part).tobytes() == getattr(right, part).tobytes() for part in ("cells", "moments", "extremes")
    )


@given(order=st.permutations(range(8)), cuts=st.lists(st.integers(0, 400), max_size=7))
@settings(max_examples=50)
def test_any_order_and_any_split_give_the_same_bits(order, cuts):
    whole = sum_rows(REFERENCE, REFERENCE.align(FRAME))
    shuffled = REFERENCE.align(pd.concat([FRAME[k * 50 : k * 50 + 50] for k in order]))
    bounds = [0, *sorted(cuts), 400]
    parts = [sum_rows(REFERENCE, shuffled.slice(a, b - a)) for a, b in pairwise(bounds)]
    assert same(sum(parts, Sums.zero(REFERENCE)), whole)
    assert same(sum(reversed(parts), Sums.zero(REFERENCE)), whole)


def test_groups_are_the_sums_of_their_rows():
    table = REFERENCE.align(FRAME)
    groups = np.random.default_rng(5).integers(0, 4, 400).astype(np.int32)
    for group, sums in enumerate(sum_groups(REFERENCE, table, groups, 4)):
        assert same(sums, sum_rows(REFERENCE, table.take(np.flatnonzero(groups == group))))


def test_one_absurd_value_does_not_overflow_the_moments():
    frame = pd.DataFrame({"x": [3e38] * 1000})
    sums = sum_rows(REFERENCE, REFERENCE.align(frame.assign(y="a", z=1.5, on=True)))
    assert sums.moments[0].tolist() == [1000 * 2**20, 1000 * 2**40]


@pytest.mark.parametrize("values", [[0.0, -0.0], [-0.0, 0.0]])
def test_zero_has_one_spelling_among_the_extremes(values):
    extremes = counted((), np.array(values, np.float32))[2]
    assert extremes.tobytes() == np.zeros(2, np.float32).tobytes()
