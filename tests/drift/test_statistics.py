"""Statistics over cells: oracles, hand calculations, and coverage of the intervals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from drift import Cells, Reference
from drift.cells import binning
from drift.cells.sums import sum_rows
from drift.reference.column_statistics import ColumnComparison
from drift.statistics import (
    cramers_v,
    effect,
    hellinger,
    js,
    kl,
    ks,
    l_infinity,
    psi,
    psi_bias,
    tvd,
    wasserstein,
)
from drift.statistics.chi2 import chi2
from drift.statistics.ks import bias as ks_bias

PAIR = st.integers(2, 12).flatmap(
    lambda k: st.tuples(
        *(
            hnp.arrays(np.int64, k, elements=st.integers(0, 500)).filter(lambda counts: counts.sum() > 0)
            for _ in range(2)
        )
    )
)


@given(PAIR)
@settings(max_examples=150)
def test_distances_are_zero_at_home_symmetric_and_bounded(pair):
    was, now = pair
    for distance in (ks, tvd, js, hellinger):
        assert distance(was, was) == pytest.approx(0, abs=1e-6)
        assert distance(was, now) == pytest.approx(distance(now, was), abs=1e-9)
        assert 0 <= distance(was, now) <= 1 + 1e-9
    assert ks(was, now) <= tvd(was, now) + 1e-12
    assert l_infinity(was, now)[0] <= tvd(was, now) + 1e-12
    assert hellinger(was, now) ** 2 <= tvd(was, now) + 1e-9 <= np.sqrt(2) * hellinger(was, now) + 2e-9
    assert psi(was, now) == pytest.approx(psi(now, was))
    assert kl(was, was) == pytest.approx(0, abs=1e-12)


def test_disjoint_columns_are_as_far_apart_as_it_goes():
    was, now = [10, 0], [0, 30]
    assert ks(was, now) == tvd(was, now) == js(was, now) == hellinger(was, now) == cramers_v(was, now) == 1
    assert js(was, now, base=np.e) == pytest.approx(0.8326, abs=1e-4)
    assert kl(was, now) == psi(was, now, smoothing=0) == np.inf
    assert np.isfinite(psi(was, now))


def test_ks_over_one_cell_a_value_is_scipys():
    rng = np.random.default_rng(0)
    was, now = rng.integers(0, 9, 300), rng.integers(1, 10, 200)  # Ties on every value.
    counts = np.bincount(was, minlength=10), np.bincount(now, minlength=10)
    assert ks(*counts) == pytest.approx(stats.ks_2samp(was, now).statistic)


def test_ks_over_cells_is_short_of_the_truth_by_less_than_the_largest_cell():
    rng = np.random.default_rng(1)
    was, now = rng.normal(size=5000).astype(np.float32), rng.normal(0.2, 1.1, 700).astype(np.float32)
    cells = Cells(name="x", edges=binning.edges(was))
    counts = [np.bincount(cells.index(side), minlength=cells.size) for side in (was, now)]
    true = stats.ks_2samp(was, now).statistic
    assert true - counts[0].max() / 5000 <= ks(*counts) <= true


def test_null_is_a_cell_and_ranks_last():
    assert ks([0, 50, 50, 0, 0], [0, 25, 25, 0, 50]) == 0.5
    assert effect("numeric", [0, 5000, 5000, 0, 0], [0, 250, 250, 0, 500]).low > 0.4


def test_psi_bias_is_what_chance_makes_of_it():
    rng = np.random.default_rng(2)
    shares = np.full(33, 1 / 33)
    drawn = [psi(rng.multinomial(10_000, shares), rng.multinomial(1_000, shares)) for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(psi_bias(33, 1_000, 10_000), rel=0.05)


def test_ks_bias_is_what_chance_makes_of_it():
    rng = np.random.default_rng(3)
    drawn = [stats.ks_2samp(rng.random(2000), rng.random(400)).statistic for _ in range(300)]
    assert np.mean(drawn) == pytest.approx(ks_bias(400, 2000), rel=0.05)


def test_chi2_pools_sparse_cells_and_takes_the_reference_for_a_sample():
    was, now = [500, 300, 3, 2, 0], [180, 140, 1, 0, 4]
    pooled = [[500, 300, 5], [180, 140, 5]]
    oracle = stats.chi2_contingency(pooled, correction=False)
    assert chi2(was, now)[:2] == pytest.approx((oracle.statistic, oracle.pvalue))
    assert chi2(was, now).dof == 2
    oracle = stats.chi2_contingency(pooled, correction=False, lambda_="log-likelihood")
    assert chi2(was, now, form="log-likelihood").statistic == pytest.approx(oracle.statistic)
    assert chi2([5, 0], [7, 0]) == (0.0, 1.0, 0)


def test_cramers_v_is_scipys():
    table = np.array([[50, 30, 20], [10, 25, 40]])
    oracle = stats.contingency.association(table, method="cramer", correction=False)
    assert cramers_v(*table) == pytest.approx(oracle)


SHIFTS = [0.0, 0.1, 0.3]


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("rows", "reference_rows"), [(200, 10_000), (1000, 1000)])
def test_the_interval_of_ks_covers_the_truth(shift, rows, reference_rows):
    rng = np.random.default_rng(4)
    edges = np.array(binning.edges(rng.normal(size=50_000).astype(np.float32)))
    was, now = (np.diff(np.concatenate([[0], stats.norm.cdf(edges - at), [1]])) for at in (0, shift))
    true = np.abs(np.cumsum(was - now)).max()
    covered = 0
    for _ in range(300):
        drawn = (np.r_[0, rng.multinomial(n, p), 0, 0] for n, p in ((reference_rows, was), (rows, now)))
        found = effect("numeric", *drawn)
        covered += found.low <= true <= found.high
    assert covered >= 0.92 * 300


@pytest.mark.parametrize("levels", [2, 8, 60])
@pytest.mark.parametrize("moved", SHIFTS)
def test_the_interval_of_tvd_covers_the_truth(levels, moved):
    rng = np.random.default_rng(5)
    was = np.full(levels, 1 / levels)
    now = (1 - moved) * was + moved * np.eye(levels)[0]
    true = np.abs(was - now).sum() / 2
    covered = 0
    for _ in range(300):
        found = effect("categorical", rng.multinomial(10_000, was), rng.multinomial(300, now))
        covered += found.low <= true <= found.high
    assert covered >= 0.92 * 300


def test_dependent_rows_widen_the_interval():
    was, now = [0, 5000, 5000, 0, 0], [0, 130, 70, 0, 0]
    one, four = effect("numeric", was, now), effect("numeric", was, now, design_effect=4.0)
    assert four.bias == pytest.approx(2 * one.bias)
    assert four.low < one.low <= one.value and four.high > one.high


def test_an_empty_window_has_no_effect_to_tell():
    assert np.isnan(effect("numeric", [1, 2], [0, 0]).value)


SHAPES = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.03),
    "lognormal": (lambda rng, n: rng.lognormal(size=n), 0.05),
    "uniform": (lambda rng, n: rng.random(n), 0.03),
    "zero inflated": (lambda rng, n: np.where(rng.random(n) < 0.6, 0, rng.exponential(size=n)), 0.05),
    "counts": (lambda rng, n: rng.poisson(4, n), 0.05),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_wasserstein_from_cells_is_close_to_that_of_the_rows(shape):
    draw, tolerance = SHAPES[shape]
    errors = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        was, now = draw(rng, 10_000).astype(np.float32), (1.25 * draw(rng, 3_000)).astype(np.float32)
        cells = Cells(name="x", edges=binning.edges(was))
        counts = [np.bincount(cells.index(side), minlength=cells.size)[1:-2] for side in (was, now)]
        ends = [(side.min(), side.max()) for side in (was, now)]
        true = stats.wasserstein_distance(was, now)
        errors.append(wasserstein(cells.edges, *counts, *ends) / true - 1)
    assert np.mean(np.abs(errors)) < tolerance


def test_describe_on_a_window_by_hand():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"x": rng.normal(10, 2, 4000), "y": rng.choice(["a", "b", "c"], 4000)})
    reference = Reference.fit(frame)
    window = pd.DataFrame({"x": [*rng.normal(11, 2, 380), *[None] * 20], "y": ["a"] * 300 + ["new"] * 40 + [None] * 60})
    sums = sum_rows(reference, reference.align(window))
    x, y = ColumnComparison(reference, np.ones(2)).describe(sums)
    assert (x.n, x.values["null_rate"], x.values["unseen_rate"], x.values["tvd"]) == (400, 0.05, 0.0, None)
    assert x.values["mean"] == pytest.approx(window["x"].mean(), abs=1e-3)
    assert x.values["w1"] == pytest.approx(
        stats.wasserstein_distance(frame["x"], window["x"].dropna()) / reference.spread[0], rel=0.05
    )
    assert x.effect.low <= x.effect.value <= x.effect.high
    assert (y.n, y.values["unseen_rate"], y.values["null_rate"]) == (400, 0.1, 0.15)
    assert [y.values[name] for name in ("ks", "w1", "mean")] == [None] * 3
    shares = frame["y"].value_counts(normalize=True)
    assert y.values["tvd"] == pytest.approx((abs(0.75 - shares["a"]) + shares["b"] + shares["c"] + 0.1 + 0.15) / 2)


def test_describe_a_window_of_nulls():
    reference = Reference.fit(pd.DataFrame({"x": np.linspace(0, 1, 200)}))
    sums = sum_rows(reference, reference.align(pd.DataFrame({"x": [np.nan] * 50})))
    (found,) = ColumnComparison(reference, np.ones(1)).describe(sums)
    values = [found.values[name] for name in ("null_rate", "w1", "mean", "ks")]
    assert values == [1.0, None, None, pytest.approx(1.0)]
