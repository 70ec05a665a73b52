"""Methods on counts over cells."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import stats

from drift.analysis.compare.bootstrap import debiased
from drift.analysis.compare.result import Comparison
from drift.statistics import cramers_v, hellinger, js, kl, l_infinity, psi, tvd
from drift.statistics.chi2 import EXPECTED_MIN, chi2
from drift.statistics.intervals import wilson

Pair = tuple[np.ndarray, np.ndarray]

#: Distances over cells, and the most that each can be.
DISTANCES: dict[str, tuple[Callable[..., float], float]] = {
    "psi": (psi, np.inf),
    "js": (js, 1.0),
    "kl": (kl, np.inf),
    "hellinger": (hellinger, 1.0),
    "tvd": (tvd, 1.0),
    "l_infinity": (lambda was, now: l_infinity(was, now)[0], 1.0),
    "cramers_v": (cramers_v, 1.0),
}
DIVERGENCES = ("psi", "kl")


def distance(method: str, pair: Pair, seed: int = 0, **options: float) -> Comparison:
    """One of `DISTANCES`: statistic as defined, effect and interval with chance taken off.

    ``options`` go to the distance: ``smoothing`` of psi and kl, ``base`` of js.

    Parameters
    ----------
    method
        Name of the distance.
    pair
        Counts of the reference and of the current rows over the same cells.
    seed
        Seeds the resampling behind the interval.
    """
    measure, most = DISTANCES[method]
    measured = partial(measure, **options)
    value = measured(*pair)
    power = 1 if method in DIVERGENCES else 2
    size, interval = debiased(value, lambda rng: measured(*_redrawn(pair, rng)), seed, most, power)
    return Comparison.of(method, _rows(pair), value, None, size, interval)


def homogeneity(method: str, pair: Pair, expected_min: float = EXPECTED_MIN, seed: int = 0) -> Comparison:
    """``chi2`` or ``g_test`` of the two-row table; the effect is Cramer's V.

    Parameters
    ----------
    pair
        Counts of the reference and of the current rows over the same cells.
    expected_min
        Rows that the smaller side must expect of a cell that stands alone.
    seed
        Seeds the resampling behind the interval.
    """
    result = chi2(*pair, expected_min=expected_min, form="pearson" if method == "chi2" else "log-likelihood")
    size, interval = debiased(cramers_v(*pair), lambda rng: cramers_v(*_redrawn(pair, rng)), seed, 1.0)
    note = f"{result.dof} degrees of freedom"
    return Comparison.of(method, _rows(pair), result.statistic, result.p_value, size, interval, note)


def fisher(pair: Pair) -> Comparison:
    """Fisher's exact test of two levels; the statistic is the odds ratio of the second level, now over then.

    The effect is the conditional estimate of the odds ratio, with its exact interval.
    """
    table = _two_by_two(pair)
    result = stats.fisher_exact(table)
    ratio = stats.contingency.odds_ratio(table, kind="conditional")
    interval = ratio.confidence_interval(0.95)
    return Comparison.of(
        "fisher", _rows(pair), result.statistic, result.pvalue, ratio.statistic, (interval.low, interval.high)
    )


def two_proportions(pair: Pair) -> Comparison:
    """Pooled z of the second level's shares; the effect is their difference, current minus reference (Newcombe)."""
    (now_yes, now_no), (was_yes, was_no) = _two_by_two(pair)
    now_n, was_n = now_yes + now_no, was_yes + was_no
    now, was = now_yes / now_n, was_yes / was_n
    pooled = (now_yes + was_yes) / (now_n + was_n)
    error = np.sqrt(pooled * (1 - pooled) * (1 / now_n + 1 / was_n))
    z = (now - was) / error if error else 0.0
    (now_low, now_high), (was_low, was_high) = wilson(now_yes, now_n), wilson(was_yes, was_n)
    low = now - was - np.hypot(now - now_low, was_high - was)
    high = now - was + np.hypot(now_high - now, was - was_low)
    return Comparison.of("two_proportions", _rows(pair), z, 2 * stats.norm.sf(abs(z)), now - was, (low, high))


def _two_by_two(pair: Pair) -> np.ndarray:
    """Rows: current, reference; columns: second level, first level."""
    if len(pair[0]) != 2:
        raise ValueError(f"two levels are needed, got {len(pair[0])}; choose chi2, or reduce the column to yes and no")
    return np.array([pair[1][::-1], pair[0][::-1]])


def _redrawn(pair: Pair, rng: np.random.Generator) -> Pair:
    was, now = (rng.multinomial(int(counts.sum()), counts / counts.sum()) for counts in pair)
    return was, now


def _rows(pair: Pair) -> tuple[int, int]:
    return int(pair[0].sum()), int(pair[1].sum())
