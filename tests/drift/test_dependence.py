"""Design effects: the known variance inflation of households, and 1 where rows are independent."""

import numpy as np
import pytest

from drift.cells.cells import Cells
from drift.evidence.contrasts import contrasts
from drift.evidence.design_effects import design_effects

NORMAL = Cells(name="x", edges=tuple(np.linspace(-2, 2, 17)))


def normal(rows: int, household: int, rho: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=-(-rows // household)), household)[:rows]
    return np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.normal(size=rows)


def effects(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    index = NORMAL.index(values)[:, None]
    names = contrasts([NORMAL], np.bincount(index[:, 0], minlength=NORMAL.size)).names
    return design_effects([NORMAL], index), names


def test_independent_rows_have_no_design_effect():
    several = np.array([effects(normal(10_000, 1, 0.0, seed))[0] for seed in range(10)])
    assert (several == 1).mean() > 0.95
    assert np.median(several.max(axis=1)) < 1.6


@pytest.mark.parametrize(("household", "rho"), [(3, 0.5), (2, 1.0), (5, 0.5)])
def test_households_inflate_the_mean_by_one_plus_the_others_times_rho(household, rho):
    # Var(sum) of a household of k with correlation rho is k (1 + (k - 1) rho) variances.
    expected = 1 + (household - 1) * rho
    found = [effects(normal(10_000, household, rho, seed)) for seed in range(10)]
    location = np.array([effect[names.index("x: location")] for effect, names in found])
    # Blocks of 8 rows cut some households in two, and miss that part of their covariance.
    cut = rho * (household**2 - 1) / (3 * 8)
    # An upper bound (1.645 standard errors): above what blocks show nearly always, and not by much.
    assert (location > (expected - cut) * 0.97).mean() >= 0.9
    assert np.median(location) < expected * 1.3


def test_long_runs_are_found_though_the_first_blocks_are_shorter():
    values = np.repeat(np.random.default_rng(0).normal(size=250), 40)
    effect, names = effects(values)
    assert effect[names.index("x: location")] > 38


def test_repelling_rows_count_as_independent():
    boolean = Cells(name="b", kind="boolean", levels=("false", "true"))
    alternating = np.tile([[0], [1]], (5000, 1))
    assert design_effects([boolean], alternating).tolist() == [1.0, 1.0]


def test_a_small_reference_and_an_empty_cell_are_taken_as_independent():
    boolean = Cells(name="b", kind="boolean", levels=("false", "true"))
    assert design_effects([boolean], np.zeros((100, 1), int)).tolist() == [1.0, 1.0]
    assert design_effects([boolean], np.zeros((1000, 1), int)).tolist() == [1.0, 1.0]


def test_a_rare_level_has_at_least_its_column_s():
    # Households of four share a level; a level of one household in a thousand cannot show it by itself.
    rng = np.random.default_rng(7)
    drawn = rng.choice(3, 2_500, p=[0.6, 0.399, 0.001])
    column = Cells(name="origin", kind="categorical", levels=("a", "b", "c"))
    found = dict(zip("abcun", design_effects([column], np.repeat(drawn, 4)[:, None]), strict=True))
    assert 3 < found["a"] < 5 and 3 < found["b"] < 5
    assert found["c"] >= 3 and found["u"] >= 3  # Unseen so far; it, too, would come by households.
