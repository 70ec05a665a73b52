"""The lag curve: reversed hazards against a calculation by hand, and against the law that delays were drawn from."""

import numpy as np
import pytest
from scipy.stats import lognorm

from drift.performance.label_delay import buckets, lag_curve, of_counts

HOUR = 3_600_000


def test_by_hand():
    # Three cohorts of 100; the youngest has seen the first delay, the oldest all three.
    counts = np.array([[0, 0, 0, 0], [30, 99, 0, 0], [20, 40, 99, 0], [25, 25, 10, 99]])
    curve = of_counts(counts, np.array([50, 100, 100, 100]))
    # Of the labels that the oldest has seen, 10 of 60 took longest; of the two oldest, 65 of 110 the middle delay.
    labels = [5 / 6 * (1 - 65 / 110), 5 / 6, 1]
    assert curve.labels == pytest.approx(labels)
    # 150 labels of 100 predictions for each of those shares.
    assert curve.coverage == pytest.approx(150 / (100 * sum(labels)) * np.array(labels))
    assert curve.ages_ms == pytest.approx([1000, 1000 * 2**0.5, 2000])


def test_it_is_the_chain_ladder():
    rng = np.random.default_rng(3)
    counts = np.tril(rng.integers(20, 90, (9, 9)), -1)
    curve, total = of_counts(counts, np.full(9, 1000)), counts.cumsum(axis=1)
    # Link ratios: what all old enough cohorts had by a delay, of what they had by the next.
    for delay in range(7):
        old = slice(delay + 2, None)
        link = total[old, delay].sum() / total[old, delay + 1].sum()
        assert curve.labels[delay] / curve.labels[delay + 1] == pytest.approx(link)


def drawn(rows, seed, ever=0.4, until=24 * HOUR):
    """Predictions of the last day, most of them young; lognormal delays, median an hour."""
    rng = np.random.default_rng(seed)
    ages = until * rng.random(rows) ** 4
    delays = np.where(rng.random(rows) < ever, HOUR * np.exp(1.2 * rng.normal(size=rows)), np.inf)
    return np.where(delays <= ages, delays, np.nan), ages


def test_truncated_delays_tell_their_law():
    """60,000 predictions, seed 1. A plain histogram of what was seen is far off."""
    delays, ages = drawn(60_000, seed=1)
    curve = lag_curve(delays, ages)
    law = lognorm(1.2, scale=HOUR).cdf(curve.ages_ms)
    assert np.abs(curve.labels - law / law[-1]).max() < 0.02
    assert np.abs(curve.coverage - 0.4 * law).max() < 0.01
    seen = delays[~np.isnan(delays)]
    plain = np.searchsorted(np.sort(seen), curve.ages_ms) / len(seen)
    assert np.abs(plain - law / law[-1]).max() > 0.08


def test_it_is_right_on_average_and_as_sure_as_it_looks():
    """60 draws of 2,000 predictions, seeds 0 to 59: at an age of two hours."""
    found = []
    for seed in range(60):
        curve = lag_curve(*drawn(2000, seed))
        found.append(np.interp(2 * HOUR, curve.ages_ms, curve.coverage))
    law = 0.4 * lognorm(1.2, scale=HOUR).cdf(2 * HOUR)
    assert np.mean(found) == pytest.approx(law, abs=4 * np.std(found) / np.sqrt(60) + 0.003)


def test_more_predictions_without_labels_change_the_level_and_not_the_shape():
    delays, ages = drawn(20_000, seed=5)
    rare = lag_curve(np.append(delays, np.full(20_000, np.nan)), np.append(ages, ages))
    curve = lag_curve(delays, ages)
    np.testing.assert_allclose(rare.labels, curve.labels)
    np.testing.assert_allclose(rare.coverage, curve.coverage / 2)


def test_few_labels_say_nothing():
    assert all(len(part) == 0 for part in lag_curve([5000.0] * 20, [60_000.0] * 20))
    assert all(len(part) == 0 for part in lag_curve([], []))
    assert all(len(part) == 0 for part in lag_curve([np.nan] * 500, [60_000.0] * 500))


def test_labels_that_are_earlier_than_their_prediction_took_no_time():
    curve = lag_curve([-5.0] * 50, [60_000.0] * 50)
    assert curve.labels.tolist() == [1.0] * len(curve.labels) and curve.ages_ms[0] == 1000
    assert buckets(np.array([-5.0])).tolist() == [0]
