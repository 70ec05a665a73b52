"""Evidence, part by part, against exact laws: the hypergeometric, the normal, the definition of an e-value."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from drift.cells.cells import Cells
from drift.evidence import Detector, named, shares, surprise
from drift.evidence.contrasts import contrasts
from drift.evidence.hypergeometric import log_pmf, log_tail
from drift.evidence.mixture import TAUS, log_evidence
from drift.evidence.saddlepoint import r_star
from drift.evidence.z_scores import uniforms

COIN = [Cells(name="heads", kind="boolean", levels=("false", "true"))]


# --- tails ------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.integers(1, 400), st.integers(1, 5000), st.data())
def test_both_tails_are_the_hypergeometric_ones(n, pool, data):
    successes = data.draw(st.integers(0, n + pool))
    low, high = max(0, n - (n + pool - successes)), min(n, successes)
    k, v = data.draw(st.integers(low, high)), data.draw(st.floats(0.01, 0.99))
    found = log_tail(k, n, successes, n + pool, v)
    if low == high:
        assert found == 0
        return
    law = stats.hypergeom(n + pool, successes, n)
    lower, upper = law.cdf(k - 1) + v * law.pmf(k), law.sf(k) + (1 - v) * law.pmf(k)
    shorter, sign = (lower, 1) if k * (n + pool) <= n * successes else (upper, -1)
    if shorter > 1e-200:
        assert sign * found == pytest.approx(math.log(shorter), rel=1e-9, abs=1e-9)


def test_ten_thousand_million_rows_lose_no_digit():
    population, successes, n, k = 10**10, 3 * 10**9, 40, 5
    exact = Fraction(math.comb(successes, k) * math.comb(population - successes, n - k), math.comb(population, n))
    assert math.exp(log_pmf(k, n, successes, population)) == pytest.approx(float(exact), rel=1e-12)


def test_far_tails_stay_finite():
    # 500 of 500 where a thousandth was usual: no underflow, and Stirling agrees to a few digits.
    found = log_tail(500, 500, 1500, 1_000_500, 0.5)
    exact = math.comb(1500, 500) / Fraction(math.comb(1_000_500, 500))
    assert -found == pytest.approx(math.log(exact.numerator) - math.log(exact.denominator) + math.log(0.5), rel=1e-9)


# --- saddle point -----------------------------------------------------------------------------------


def exact_tail(scores: list[int], population: list[int], n: int) -> dict[int, float]:
    """P(sum < s) + P(sum = s) / 2 of n rows drawn without replacement, by enumeration of the cells' counts."""
    law: dict[int, int] = {}
    for taken in product(*(range(min(n, size) + 1) for size in population)):
        if sum(taken) == n:
            total = sum(s * k for s, k in zip(scores, taken, strict=True))
            ways = math.prod(math.comb(size, k) for size, k in zip(population, taken, strict=True))
            law[total] = law.get(total, 0) + ways
    every, below, tails = sum(law.values()), 0, {}
    for total in sorted(law):
        tails[total] = float(Fraction(2 * below + law[total], 2 * every))
        below += law[total]
    return tails


def test_the_saddle_point_is_the_normal_score_of_a_skew_sum():
    scores, population, n = [0, 1, 4, 9], [30, 24, 16, 10], 20
    tails, checked = exact_tail(scores, population, n), 0
    for taken in product(*(range(min(n, size) + 1) for size in population)):
        if sum(taken) != n:
            continue
        window = np.array(taken)
        exact = stats.norm.ppf(tails[int(window @ scores)])
        z = r_star(np.array(scores, float), np.array(population) - window, window)
        if abs(exact) < 3:
            assert z == pytest.approx(exact, abs=0.12)
        else:  # A quarter of the population is drawn: far out it errs, to the quiet side.
            assert abs(z) < abs(exact) + 0.4
        checked += 1
    assert checked > 1000


def test_a_score_says_nothing_where_it_is_constant_or_one_cell_holds_nearly_all():
    pool = np.array([990, 10])
    assert r_star(np.ones(2), pool, np.array([190, 10])) == 0
    assert r_star(np.array([0.0, 1.0]), pool, np.array([199, 1])) == 0


def test_a_window_at_the_end_of_the_scale_is_finite():
    z = r_star(np.array([-1.0, 0.0, 1.0]), np.array([400, 300, 300]), np.array([0, 0, 100]))
    assert 8 < z < 40


# --- surprise ---------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=2, max_size=6),
    st.floats(-30, 30),
    st.integers(0, 6),
)
def test_cells_that_nobody_fell_into_say_nothing_whatever_their_score(rows, empty_score, place):
    scores = np.linspace(-1.0, -0.95, len(rows))  # Hours of one pressure: neighbours hold all rows.
    pool, window = np.array(rows).T.copy()
    alone = r_star(scores, pool, window)
    among = r_star(
        *(np.insert(x, min(place, len(rows)), new) for x, new in ((scores, empty_score), (pool, 0), (window, 0)))
    )
    assert math.isfinite(alone)
    assert among == pytest.approx(alone, rel=1e-9, abs=1e-9)


def test_surprise_is_standard_normal_while_nothing_changes():
    rng = np.random.default_rng(5)
    columns = [Cells(name="x", edges=(-1.0, 0.0, 1.0)), *COIN]
    shares_of = [[0, 0.16, 0.34, 0.34, 0.16, 0, 0], [0.9, 0.1, 0]]
    asked = contrasts(columns, np.array([0, 160, 340, 340, 160, 0, 0, 900, 100, 0]))
    z = []
    for run in range(400):
        pool, window = (np.concatenate([rng.multinomial(n, p) for p in shares_of]) for n in (1000, 50))
        z.append(surprise(asked, pool, window, run * 60_000))
    asking = np.array(z)[:, [i for i, name in enumerate(asked.names) if "null" not in name and "inf" not in name]]
    assert np.abs(asking.mean(axis=0)).max() < 4 / math.sqrt(400)
    assert asking.std(axis=0) == pytest.approx(np.ones(asking.shape[1]), abs=0.15)
    assert stats.kstest(asking[:, 0], "norm").pvalue > 1e-4


@pytest.mark.parametrize("rows", [10**6, 2**32, 2**40, 2**61])
def test_surprise_and_evidence_are_finite_however_many_rows_there_are(rows):
    columns = [Cells(name="x", edges=(-1.0, 0.0, 1.0)), *COIN]
    pool = np.array([0, 160, 340, 340, 160, 0, 0, 900, 100, 0])
    asked = contrasts(columns, pool)
    detector = Detector.over(asked, pool)
    for n, place in enumerate((4, 1, 4)):
        window = np.zeros(10, np.int64)
        window[[place, 8]] = rows
        look = detector.observe(asked, np.ones(len(asked)), window, rows, n * 60_000)
        assert np.isfinite(detector.sums).all()
        assert not np.isnan(look.by_column).any()


def test_the_reference_is_a_sample_and_no_truth():
    # A reference of 100 tells less of the coin than one of a million: the same window surprises less.
    asked = contrasts(COIN, np.array([50, 50, 0]))
    window = np.array([70, 30, 0])
    few, many = (surprise(asked, np.array([n, n, 0]), window, 0)[0] for n in (50, 500_000))
    # Two binomial samples: the variance of the difference is p (1 - p) (1/n + 1/N).
    assert few == pytest.approx(many / math.sqrt(2), rel=0.05)
    assert many == pytest.approx(4, rel=0.05)


def test_ties_are_drawn_from_name_and_time_alone():
    seeds = contrasts(COIN, np.array([1, 1, 0])).seeds
    assert uniforms(seeds, 60_000).tolist() == uniforms(seeds, 60_000).tolist()
    many = np.concatenate([uniforms(seeds, 60_000 * minute) for minute in range(4000)])
    assert stats.kstest(many, "uniform").pvalue > 1e-4
    assert many.min() > 0 and many.max() < 1


# --- mixture ----------------------------------------------------------------------------------------


def log_mixture(total: float, mass: float) -> float:
    one = np.zeros(1)
    return float(log_evidence(one + total, mass, one[:, None], one, one, np.array([0, 1]), np.array([0]))[0, 0])


@pytest.mark.parametrize("mass", [0.1, 1.0, 7.0, 100.0])
def test_the_mean_e_value_is_one_while_nothing_changes(mass):
    law = stats.norm(scale=math.sqrt(mass))
    reach = 60 * math.sqrt(mass) * (1 + 3 * math.sqrt(mass))
    mean, _ = integrate.quad(lambda z: math.exp(log_mixture(z, mass) + law.logpdf(z)), 0, reach, limit=500)
    assert 2 * mean == pytest.approx(1, abs=1e-6)


def test_evidence_is_the_weighted_mean_over_contrasts_and_shifts():
    sums, before = np.array([3.0, -1.0, 2.0]), np.array([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0]])
    weight, span = np.array([0.3, 0.7, 1.0]), np.array([0, 2, 3])
    found = np.exp(log_evidence(sums, 5.0, before, np.array([0.0, 2.0]), np.log(weight), span, np.array([0, 1])))
    for start, mass in enumerate([5.0, 3.0]):
        z = sums - before[start]
        e = np.mean([np.exp(t**2 * z**2 / (2 * (1 + mass * t**2))) / np.sqrt(1 + mass * t**2) for t in TAUS], axis=0)
        assert found[start, 0] == pytest.approx(0.3 * e[0] + 0.7 * e[1])
        assert found[start, 1] == pytest.approx(0 if start < 1 else e[2])


# --- detector ---------------------------------------------------------------------------------------


def coins(detector, asked, heads, rows=200, first=0):
    for number, up in enumerate(heads):
        window = np.array([rows - up, up, 0])
        look = detector.observe(asked, np.ones(len(asked)), window, rows, (first + number) * 60_000)
    return look


def fair(seed, windows, p=0.5, rows=200):
    return np.random.default_rng(seed).binomial(rows, p, windows)


def test_kept_starts_thin_out_with_their_lag_and_the_sum_is_over_them():
    asked, pool = contrasts(COIN, np.array([5000, 5000, 0])), np.array([5000, 5000, 0])
    detector = Detector.over(asked, pool)
    heads = fair(1, 300)
    look = coins(detector, asked, heads)
    now = 299
    kept = [s for s in range(300) if s % 2 ** max(0, math.ceil(math.log2(max(1, now - s) / 8))) == 0]
    assert detector.starts.tolist() == kept
    # From first principles: all z again, all stretches again.
    z, counts = [], pool.copy()
    for number, up in enumerate(heads):
        window = np.array([200 - up, up, 0])
        z.append(surprise(asked, counts, window, number * 60_000))
        counts = counts + window
    expected = 0.0
    for s in kept:
        total, mass = np.sum(z[s:], axis=0), now - s + 1
        e = [math.exp(log_mixture(one, mass)) for one in total]
        expected += np.dot(asked.weight, e)
    assert np.exp(look.by_column[0]) == pytest.approx(expected, rel=1e-9)


def test_a_change_is_dated_and_the_column_begins_anew():
    asked, pool = contrasts(COIN, np.array([5000, 5000, 0])), np.array([5000, 5000, 0])
    detector = Detector.over(asked, pool)
    coins(detector, asked, fair(2, 40))
    look = coins(detector, asked, fair(3, 4, p=0.65), first=40)
    assert look.by_column[0] > math.log(1e4)
    point = detector.change_point(look, 0)
    assert abs(int(detector.starts[point.at]) - 40) <= 1
    assert point.low <= point.at <= point.high
    start = int(detector.starts[point.at])
    detector.restart(0, slice(0, 3), point.at)
    assert detector.pool.sum() == 200 * (44 - start)
    # At its new level it is quiet; the old level is news.
    assert coins(detector, asked, fair(4, 60, p=0.65), first=44).by_column[0] < math.log(1e4)
    assert coins(detector, asked, fair(5, 4), first=104).by_column[0] > math.log(1e4)


def test_a_large_window_says_what_its_parts_say_together():
    asked, pool = contrasts(COIN, np.array([10**8, 10**8, 0])), np.array([10**8, 10**8, 0])
    parts, whole = Detector.over(asked, pool), Detector.over(asked, pool)
    in_parts, at_once = coins(parts, asked, [118] * 5), coins(whole, asked, [590], rows=1000)
    assert in_parts.by_start[0, 0] == pytest.approx(at_once.by_start[0, 0], rel=0.1)


# --- naming -----------------------------------------------------------------------------------------


def test_named_columns_count_as_named_and_are_not_named_twice():
    weighted = np.log([1000.0, 400.0, 200.0])
    assert named(weighted, math.log(1000), known=[]) == [0]
    assert named(weighted, math.log(1000), known=[0]) == []
    assert named(weighted, math.log(1000), known=[0, 7]) == [1]
    assert named(weighted, math.log(1e9), known=[], least=1) == [0]


def test_kinds_that_are_not_there_leave_their_share_to_the_others():
    columns = [Cells(name="a"), Cells(name="b")]
    budget = {"performance": 0.5, "prediction": 0.25, "feature": 0.15, "quality": 0.1}
    assert shares(columns, budget).tolist() == [0.5, 0.5]
