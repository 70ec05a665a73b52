"""Maximum mean discrepancy: two samples of vectors, compared through a kernel."""

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.stats import norm

from drift.analysis.compare.result import Comparison

#: More rows are drawn down to so many a side: the kernel matrix is quadratic.
ROWS_MAX = 1_000
PERMUTATIONS = 1_000


def mmd(
    reference: np.ndarray,
    current: np.ndarray,
    bandwidth: float | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Comparison:
    """Unbiased squared MMD under ``exp(-|x - y|^2 / (2 bandwidth^2))``; it may be negative.

    The p-value is by permutation, (b + 1) / (m + 1). The effect is the root of the statistic, 0 where it is negative.

    Parameters
    ----------
    reference, current
        float64 [rows] or [rows, dimensions]; at least two rows each.
    bandwidth
        Median distance within the reference by default: frozen there, so that it does not follow the drift.
    """
    rng = np.random.default_rng(seed)
    x, y = (_drawn(np.asarray(side, np.float64), rng) for side in (reference, current))
    if min(len(x), len(y)) < 2:
        raise ValueError(f"mmd needs two rows a side, got {len(x)} and {len(y)}")
    width = bandwidth or float(np.median(pdist(x))) or 1.0
    together = np.vstack([x, y])
    kernel = np.exp(-cdist(together, together, "sqeuclidean") / (2 * width**2))
    np.fill_diagonal(kernel, 0.0)  # Unbiased: a row is not compared with itself.
    sides = np.zeros((permutations + 1, len(together)))
    sides[:, len(x) :] = 1.0
    sides[1:] = rng.permuted(sides[1:], axis=1)
    statistics = _unbiased(kernel, sides)
    value = float(statistics[0])
    p_value = (1 + int((statistics[1:] >= value).sum())) / (permutations + 1)
    reach = float(norm.ppf(0.975) * np.sqrt(_variance(kernel, len(x)) + statistics[1:].var()))
    low, effect, high = np.sqrt(np.maximum(0.0, [value - reach, value, value + reach]))
    return Comparison(
        method="mmd",
        statistic=value,
        p_value=p_value,
        effect=float(effect),
        interval=(float(low), float(high)),
        n_reference=len(reference),
        n_current=len(current),
        note=f"bandwidth {width:.4g}"
        + (f", {ROWS_MAX} rows a side drawn" if len(together) < len(reference) + len(current) else ""),
    )


def _drawn(side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = side.reshape(len(side), -1)
    return rows if len(rows) <= ROWS_MAX else rows[rng.choice(len(rows), ROWS_MAX, replace=False)]


def _unbiased(kernel: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Statistic of each assignment of rows to sides (0 reference, 1 current), float64 [assignments]."""
    m = sides[0].sum()
    n = len(kernel) - m
    from_current = sides @ kernel
    within_current = (from_current * sides).sum(axis=1)
    across = (from_current * (1 - sides)).sum(axis=1)
    within_reference = kernel.sum() - within_current - 2 * across
    statistics: np.ndarray = within_reference / (n * (n - 1)) + within_current / (m * (m - 1)) - 2 * across / (n * m)
    return statistics


def _variance(kernel: np.ndarray, n: int) -> float:
    """Variance of the statistic when the sides differ: of each row's similarity to its own side less the other."""
    m = len(kernel) - n
    own_reference = kernel[:n, :n].sum(axis=1) / (n - 1) - kernel[:n, n:].mean(axis=1)
    own_current = kernel[n:, n:].sum(axis=1) / (m - 1) - kernel[n:, :n].mean(axis=1)
    return float(4 * (own_reference.var() / n + own_current.var() / m))
