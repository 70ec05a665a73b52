"""Contrasts: what is asked of each column, with which weights, in an order that never changes."""

import numpy as np
import pytest
from scipy import stats

from drift.cells.cells import Cells
from drift.evidence.contrasts import contrasts

AGE = Cells(name="age", edges=(18.0, 40.0, 65.0))
CITY = Cells(name="city", kind="categorical", levels=("Rome", "Oslo", "Bern"), others=("Ulm",))
MEMBER = Cells(name="member", kind="boolean", levels=("false", "true"))
# age: -inf, < 18, to 40, to 65, above, +inf, null; city: its levels, other, unseen, null; member: false, true, null.
COUNTS = np.array([0, 100, 200, 400, 100, 0, 50, *(300, 300, 150, 50, 0, 50), *(700, 150, 0)])


@pytest.fixture
def made():
    return contrasts([AGE, CITY, MEMBER], COUNTS)


def scores(made, name):
    i = made.names.index(name)
    return made.scores[made.score_bounds[i] : made.score_bounds[i + 1]]


def test_every_question_is_there_once_and_in_order(made):
    assert made.names == (
        *("age: location", "age: scale", "age: >= 18.0", "age: >= 40.0", "age: >= 65.0"),
        *("age: null", "age: +inf", "age: -inf"),
        *("city: Rome", "city: Oslo", "city: Bern", "city: other", "city: unseen", "city: null"),
        *("member: false", "member: null"),
    )


def test_weights_are_shared_inside_each_column(made):
    assert np.bincount(made.column, made.weight) == pytest.approx([1, 1, 1])
    assert made.weight[:8] == pytest.approx([0.35, 0.25] + [0.4 / 6] * 6)
    assert made.weight[8:] == pytest.approx([1 / 6] * 6 + [1 / 2] * 2)


def test_location_is_the_normal_quantile_of_the_middle_rank_and_null_scores_zero(made):
    rows = np.array([100.5, 200.5, 400.5, 100.5])
    expected = stats.norm.ppf((np.cumsum(rows) - rows / 2) / rows.sum())
    assert scores(made, "age: location") == pytest.approx([0, *expected, 0, 0])


def test_scale_is_centred_so_that_null_is_neutral(made):
    scale = scores(made, "age: scale")
    assert scale[[0, 5, 6]].tolist() == [0, 0, 0]
    assert np.average(scale[1:5], weights=[100.5, 200.5, 400.5, 100.5]) == pytest.approx(0, abs=1e-12)


def test_an_edge_asks_whether_a_value_is_at_or_above_it(made):
    # Cells: -inf, < 18, [18, 40), [40, 65), >= 65, +inf, null.
    assert scores(made, "age: >= 40.0").tolist() == [0, 0, 0, 1, 1, 1, 0]


def test_flat_layout_agrees_with_the_matrix(made):
    assert made.matrix(1) == pytest.approx(np.eye(6))
    assert made.first.tolist() == [0] * 8 + [7] * 6 + [13] * 2
    assert made.offsets.tolist() == [0, 7, 13, 16]


def test_seeds_come_from_names_alone(made):
    again = contrasts([MEMBER], COUNTS[-3:])
    assert again.seeds.tolist() == made.seeds[-2:].tolist()
    assert len(set(made.seeds.tolist())) == len(made)
