"""The signed-root saddle point: how far a mean score is from what pool and window together would give.

``r*`` is standard normal to third order, also where the score is skew (squares of normal scores in small windows give
a plain normal form a mean e-value of 4.9 where at most 1 is allowed).
"""

import math

import numpy as np
from numba import njit

#: A cell with all but this many of the window's rows leaves too few for any approximation.
OTHER_ROWS_MIN = 10.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def r_star(scores: np.ndarray, pool: np.ndarray, window: np.ndarray) -> float:
    """Signed root of the cell multinomial, corrected for drawing without replacement; 0 where nothing can be said.

    Parameters
    ----------
    scores, pool, window
        Score, rows in the pool and rows in the window of each cell, float64, int64 and int64 [cells].
    """
    rows_pool, n = pool.sum(), window.sum()
    total = rows_pool + n
    if rows_pool < 1 or n < 1:
        return 0.0
    shares = (pool + window) / total
    if n * (1 - shares.max()) < OTHER_ROWS_MIN:
        return 0.0
    mean, low, high = 0.0, np.inf, -np.inf
    for score, share in zip(scores, shares):  # noqa: B905  (numba's zip takes no strict)
        if share > 0:
            mean += share * score
            low, high = min(low, score), max(high, score)
    variance = (shares * (scores - mean) ** 2).sum()
    if variance < 1e-12:
        return 0.0
    seen = (scores * window).sum() / n
    root = _root(scores, shares, n, mean, variance, seen, low, high)
    return float(root / math.sqrt(rows_pool / (total - 1)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _root(
    scores: np.ndarray, shares: np.ndarray, n: int, mean: float, variance: float, seen: float, low: float, high: float
) -> float:
    at_end = 1e-9 * (high - low)
    if seen >= high - at_end or seen <= low + at_end:
        end = high if seen >= high - at_end else low
        share = shares[np.abs(scores - end) <= at_end].sum()
        return math.copysign(math.sqrt(-2 * n * math.log(share)), seen - mean)
    t, cumulant, curvature = _tilt(scores, shares, mean, variance, seen)
    deviance = max(0.0, 2 * n * (t * seen - cumulant))
    w = math.copysign(math.sqrt(deviance), t)
    if abs(w) < 1e-3:
        # The limit of log(u / w) / w as both vanish.
        return float(w + (shares * (scores - mean) ** 3).sum() / variance**1.5 / (6 * math.sqrt(n)))
    u = t * math.sqrt(n * curvature)
    return w + math.log(u / w) / w


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tilt(
    scores: np.ndarray, shares: np.ndarray, mean: float, variance: float, seen: float
) -> tuple[float, float, float]:
    """Solve ``K'(t) = seen`` by Newton's method inside a bracket; returns t, K(t) and K''(t)."""
    # Exponents are taken from cells with rows: an empty one may have so large a score that all others underflow.
    scores, shares = scores[shares > 0], shares[shares > 0]
    t = (seen - mean) / variance
    low, high = (0.0, np.inf) if seen > mean else (-np.inf, 0.0)
    cumulant, curvature = 0.0, variance
    for _ in range(60):
        shift = (t * scores).max()
        weights = shares * np.exp(t * scores - shift)
        mass = weights.sum()
        first = (weights * scores).sum() / mass
        cumulant, curvature = shift + math.log(mass), (weights * (scores - first) ** 2).sum() / mass
        gap = first - seen
        if abs(gap) <= 1e-10 * math.sqrt(variance):
            break
        if gap > 0:
            high = t
        else:
            low = t
        step = t - gap / max(curvature, 1e-300)
        if not low < step < high:
            step = 0.5 * (low + high) if np.isfinite(low + high) else 2 * t
        t = step
    return t, cumulant, curvature
