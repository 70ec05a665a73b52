"""Methods on the values themselves; the tests are SciPy's."""

import warnings

import msgspec
import numpy as np
from scipy import stats

from drift.analysis.compare.bootstrap import debiased
from drift.analysis.compare.result import NO_INTERVAL, Comparison
from drift.statistics.auc import auc
from drift.statistics.effect import Effect, effect
from drift.statistics.intervals import logit

Pair = tuple[np.ndarray, np.ndarray]


def ks(pair: Pair, exact: bool | None = None) -> Comparison:
    """Kolmogorov-Smirnov: statistic and effect are the largest gap between the distribution functions."""
    result = stats.ks_2samp(*pair, method={None: "auto", True: "exact", False: "asymp"}[exact])
    return _by_gap("ks", pair, result.statistic, result.pvalue)


def cramer_von_mises(pair: Pair, exact: bool | None = None) -> Comparison:
    """Cramer-von Mises' T; the effect is the largest gap between the distribution functions."""
    method = {None: "auto", True: "exact", False: "asymptotic"}[exact]
    if min(map(len, pair)) < 2:
        return _undecided(_by_gap("cramer_von_mises", pair, 0.0, 1.0))
    result = stats.cramervonmises_2samp(*pair, method=method)
    return _by_gap("cramer_von_mises", pair, result.statistic, result.pvalue)


def anderson_darling(pair: Pair) -> Comparison:
    """Anderson-Darling for two samples, normalised; p is tabulated from .001 to .25. Effect as for `ks`."""
    if len(np.unique(np.concatenate(pair))) < 2:
        return _by_gap("anderson_darling", pair, 0.0, 1.0)  # One value on both sides: nothing differs.
    if min(map(len, pair)) < 2:
        return _undecided(_by_gap("anderson_darling", pair, 0.0, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That p is floored or capped; and SciPy's renaming of an argument.
        result = stats.anderson_ksamp(list(pair))
    return _by_gap("anderson_darling", pair, result.statistic, result.pvalue)


def mann_whitney(pair: Pair, exact: bool | None = None) -> Comparison:
    """Mann-Whitney's U of the reference; the effect is the chance that a current value is the larger one."""
    method = {None: "auto", True: "exact", False: "asymptotic"}[exact]
    result = stats.mannwhitneyu(*pair, alternative="two-sided", method=method)
    counts = _counts(pair)
    value, variance = auc(positives=counts[1], negatives=counts[0])
    return Comparison.of("mann_whitney", _rows(pair), result.statistic, result.pvalue, value, logit(value, variance))


def welch_t(pair: Pair) -> Comparison:
    """Welch's t, current minus reference; the effect is the difference of the means in the column's unit."""
    reference, current = pair
    difference = float(current.mean() - reference.mean())
    if min(map(len, pair)) < 2:
        return _undecided(Comparison.of("welch_t", _rows(pair), 0.0, 1.0, difference, NO_INTERVAL))
    if np.ptp(reference) == np.ptp(current) == 0:  # Two constants: the same, or different beyond any doubt.
        alike = reference[0] == current[0]
        statistic, p_value = (0.0, 1.0) if alike else (np.copysign(np.inf, difference), 0.0)
        return Comparison.of("welch_t", _rows(pair), statistic, p_value, difference, (difference, difference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That one of them hardly varies.
        result = stats.ttest_ind(current, reference, equal_var=False)
    interval = result.confidence_interval(0.95)
    return Comparison.of(
        "welch_t", _rows(pair), result.statistic, result.pvalue, difference, (interval.low, interval.high)
    )


def wasserstein(pair: Pair, seed: int = 0) -> Comparison:
    """Wasserstein-1 in the column's unit; the effect is in robust spreads of the reference (IQR / 1.349)."""
    value = float(stats.wasserstein_distance(*pair))
    unit = robust_spread(pair[0])
    size, (low, high) = debiased(value, lambda rng: stats.wasserstein_distance(*_redrawn(pair, rng)), seed)
    return Comparison.of("wasserstein", _rows(pair), value, None, size / unit, (low / unit, high / unit))


def energy(pair: Pair, seed: int = 0) -> Comparison:
    """Energy distance as SciPy defines it (the root); the effect is the same, with chance taken off."""
    value = float(stats.energy_distance(*pair))
    size, interval = debiased(value, lambda rng: stats.energy_distance(*_redrawn(pair, rng)), seed)
    return Comparison.of("energy", _rows(pair), value, None, size, interval)


def robust_spread(values: np.ndarray) -> float:
    """IQR / 1.349, else the standard deviation, else 1.

    >>> robust_spread(np.array([5.0, 5.0]))
    1.0
    """
    low, high = np.quantile(values, (0.25, 0.75), method="inverted_cdf")
    return float((high - low) / 1.349 or values.std() or 1.0)


def _undecided(comparison: Comparison) -> Comparison:
    """Say of a single value that it decides nothing."""
    note = f"one value a side decides nothing for {comparison.method}: p is 1; ks and mann_whitney take it"
    return msgspec.structs.replace(comparison, note=note)


def _by_gap(method: str, pair: Pair, statistic: float, p_value: float) -> Comparison:
    effect = gap(pair)
    return Comparison.of(method, _rows(pair), statistic, p_value, effect.value, (effect.low, effect.high))


def gap(pair: Pair) -> Effect:
    """Largest gap between the distribution functions, every distinct value a cell of its own."""
    was, now = (np.append(counts, 0) for counts in _counts(pair))  # The last cell is null's.
    return effect("numeric", was, now)


def _counts(pair: Pair) -> Pair:
    _, value_index = np.unique(np.concatenate(pair), return_inverse=True)
    cut = len(pair[0])
    size = int(value_index.max()) + 1
    return np.bincount(value_index[:cut], minlength=size), np.bincount(value_index[cut:], minlength=size)


def _redrawn(pair: Pair, rng: np.random.Generator) -> Pair:
    reference, current = (rng.choice(values, len(values)) for values in pair)
    return reference, current


def _rows(pair: Pair) -> tuple[int, int]:
    return len(pair[0]), len(pair[1])
