"""Cells: where a value falls, for every kind and every odd value."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drift import Cells
from drift.cells import binning
from drift.cells.columns import ColumnError, floats, levels

FLOATS = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


@given(FLOATS, FLOATS)
@settings(max_examples=150)
def test_a_value_lies_between_the_bounds_of_its_cell(seen, values):
    cells = Cells(name="x", edges=binning.edges(seen))
    bounds = np.concatenate([[-np.inf], cells.bounds, [np.inf]])
    for value, place in zip(values, cells.index(values), strict=True):
        if np.isnan(value):
            assert place == cells.null
        elif np.isposinf(value):
            assert place == cells.plus_inf
        elif np.isneginf(value):
            assert place == cells.minus_inf
        else:
            assert bounds[place] <= value < bounds[place + 1]


@given(FLOATS)
@settings(max_examples=100)
def test_edges_are_float32_ascending_and_every_text_is_there(seen):
    edges = binning.edges(seen)
    assert list(edges) == sorted(set(edges))
    assert all(float(np.float32(edge)) == edge for edge in edges)
    cells = Cells(name="x", edges=edges)
    assert len(cells.labels) == cells.size == cells.null + 1


def test_equal_masses_and_tails_make_42_intervals():
    values = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    cells = Cells(name="x", edges=binning.edges(values))
    assert len(cells.edges) == 41
    shares = np.bincount(cells.index(values), minlength=cells.size) / len(values)
    np.testing.assert_allclose(np.cumsum(shares)[[1, 2, 3, 4, 5]], [0.0005, 0.002, 0.005, 0.01, 0.02], atol=1e-5)
    assert shares.max() <= 1 / 32 + 1e-5


def test_a_point_mass_has_a_cell_of_its_own():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(10_000) < 0.3, 0.0, rng.lognormal(size=10_000)).astype(np.float32)
    cells = Cells(name="x", edges=binning.edges(values))
    place = int(cells.index([0.0])[0])
    assert cells.labels[place] == "0"
    counts = np.bincount(cells.index(values), minlength=cells.size)
    assert counts[place] == (values == 0).sum()
    assert cells.index([np.nextafter(np.float32(0), np.float32(1))])[0] == place + 1
    # The rest is cut as finely as if the mass were not there.
    assert counts[place + 1 :].max() <= (values > 0).sum() / 32 + 1


def test_integers_have_cells_of_their_own_and_what_lies_between_them_shows():
    cells = Cells(name="x", edges=binning.edges(np.repeat(np.arange(5), 20).astype(np.float32)))
    inner = ("0", "(0, 1)", "1", "(1, 2)", "2", "(2, 3)", "3", "(3, 4)", "4")
    assert cells.labels == ("-inf", "< 0", *inner, "> 4", "+inf", "null")


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [np.inf, -np.inf]])
def test_no_finite_value_leaves_one_interval(values):
    cells = Cells(name="x", edges=binning.edges(np.array(values, np.float32)))
    assert cells.labels == ("-inf", "any", "+inf", "null")


def test_the_plausible_range_is_a_sum_of_cells():
    values = np.linspace(0, 100, 500, dtype=np.float32)
    cells = Cells(name="x", edges=binning.edges(values, low=10, high=90), low=10, high=90)
    rows = np.array([9.99, 10, 90, 90.01, -np.inf, np.inf, 50, np.nan], np.float32)
    outside = np.isin(cells.index(rows), cells.out_of_range)
    assert outside.tolist() == [True, False, False, True, True, True, False, False]
    assert Cells(name="x", edges=(1.0,)).out_of_range == ()


def test_a_value_too_large_for_float32_is_infinite():
    cells = Cells(name="x", edges=(1.0,))
    assert cells.index(np.array([1e300, -1e300])).tolist() == [cells.plus_inf, cells.minus_inf]
    assert cells.index(pa.array([1e300])).tolist() == [cells.plus_inf]


COLUMNS = [
    [1, 2, None, 3],
    pd.Series([1, 2, None, 3]),
    pd.Series([1, 2, None, 3], dtype="Int64"),
    pa.array([1, 2, None, 3]),
    pa.chunked_array([[1, 2], [None, 3]]),
    np.array([1, 2, np.nan, 3]),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: type(c).__name__)
def test_every_spelling_of_a_column_reads_alike(column):
    np.testing.assert_array_equal(floats(column), np.array([1, 2, np.nan, 3], np.float32))
    codes, texts = levels(column)
    assert [None if code < 0 else texts[code] for code in codes] == ["1", "2", None, "3"]


def test_levels_are_spelled_one_way():
    cells = Cells(name="x", kind="categorical", levels=("16", "true", " a"))
    for spelled in ([16, 16.0], pd.Series([16, 16], dtype="category"), ["16", "16"]):
        assert cells.index(spelled).tolist() == [0, 0]
    assert cells.index([True]).tolist() == [1]
    assert cells.index([" a", "a", "A"]).tolist() == [2, cells.unseen, cells.unseen]


def test_boolean_takes_any_spelling_and_nothing_else():
    cells = Cells(name="x", kind="boolean", levels=("false", "true"))
    assert cells.labels == ("false", "true", "null")
    assert cells.index([True, False, None]).tolist() == [1, 0, 2]
    assert cells.index([1, 0]).tolist() == [1, 0]
    assert cells.index(["yes"]).tolist() == [cells.null]


def test_62_levels_have_cells_the_rest_is_other_and_what_is_new_is_unseen():
    named, others, more = binning.levels({f"L{k:03d}": 1000 - k for k in range(80)})
    cells = Cells(name="x", kind="categorical", levels=named, others=others, open=more)
    assert (len(named), len(others), more) == (62, 18, False)
    assert cells.labels[-3:] == ("other", "unseen", "null")
    assert cells.index(["L000", "L079", "new", None]).tolist() == [0, cells.other, cells.unseen, cells.null]


def test_more_levels_than_are_remembered_leave_nothing_unseen():
    named, others, more = binning.levels({str(k): 2 for k in range(10_000)})
    cells = Cells(name="x", kind="categorical", levels=named, others=others, open=more)
    assert more and cells.unseen is None and len(others) == binning.KNOWN_LEVELS_MAX - binning.NAMED_LEVELS_MAX
    assert cells.index(["never"]).tolist() == [cells.other]


def test_text_in_a_numeric_column_is_refused_by_name():
    with pytest.raises(ColumnError, match="income: numeric expected"):
        Cells(name="income", edges=(1.0,)).index(["n/a"])
