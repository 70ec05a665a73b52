"""Tails of the hypergeometric law, exact and short: what an indicator's count is compared with.

``k`` of the ``n`` rows of a window answer yes, and ``successes`` of the ``population`` of pool and window together.
If nothing changed the window is a random subset, whatever the shares are, so the law is exact with the pool's own
uncertainty in it.
"""

import math

from numba import njit

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def log_tail(k: int, n: int, successes: int, population: int, v: float) -> float:
    """Log of the shorter randomised tail: ``P(X < k) + v P(X = k)``, at or below the mean; above it, as a positive
    number, minus the log of ``P(X > k) + (1 - v) P(X = k)``. 0 where only one ``k`` is possible.

    The pmf is Loader's (log gamma loses five digits at 1e10 rows), the tail its recurrence, summed while it matters.

    Parameters
    ----------
    k
        Successes that were drawn.
    n
        Rows that were drawn.
    successes, population
        Successes among all rows, and all rows.
    v
        Uniform in (0, 1): how much of ``P(X = k)`` the tail takes.

    >>> round(math.exp(log_tail(1, 5, 4, 10, 0.5)), 6)  # (C(6,5) + C(4,1) C(6,4) / 2) / C(10,5)
    0.142857
    """
    if max(0, n - (population - successes)) == min(n, successes):
        return 0.0
    log_point = log_pmf(k, n, successes, population)
    failures_left = population - successes - n
    tail, term = 0.0, 1.0
    if k * float(population) <= n * float(successes):
        j = k
        while j > 0 and failures_left + j > 0 and term > 1e-17 * (tail + v):
            term *= (j / (successes - j + 1)) * ((failures_left + j) / (n - j + 1))
            tail += term
            j -= 1
        return float(log_point + math.log(v + tail))
    j = k
    while j < n and j < successes and term > 1e-17 * (tail + 1 - v):
        term *= ((successes - j) / (j + 1)) * ((n - j) / (failures_left + j + 1))
        tail += term
        j += 1
    return -float(log_point + math.log(1 - v + tail))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def log_pmf(k: int, n: int, successes: int, population: int) -> float:
    """Log of the hypergeometric probability, as three binomial ones.

    Parameters
    ----------
    k
        Successes that were drawn.
    n
        Rows that were drawn.
    successes, population
        Successes among all rows, and all rows.

    >>> round(math.exp(log_pmf(1, 5, 4, 10)), 6)
    0.238095
    """
    p = n / population
    subset = _log_binomial(k, successes, p) + _log_binomial(n - k, population - successes, p)
    return float(subset - _log_binomial(n, population, p))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _log_binomial(k: int, n: int, p: float) -> float:
    """Log of the binomial probability by Loader's saddle point (C. Loader, 2000)."""
    if k == 0:
        return n * math.log1p(-p)
    if k == n:
        return n * math.log(p)
    near = _stirling_error(n) - _stirling_error(k) - _stirling_error(n - k)
    far = _deviance(k, n * p) + _deviance(n - k, n * (1 - p))
    return float(near - far - _HALF_LOG_TAU - 0.5 * (math.log(k) + math.log1p(-k / n)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _stirling_error(n: float) -> float:
    """``log(n!)`` less Stirling's formula."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - _HALF_LOG_TAU
    m = 1.0 / (n * n)
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - m / 1188) * m) * m) * m) / n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _deviance(x: float, mean: float) -> float:
    """``x log(x / mean) + mean - x``, without cancellation where the two are close."""
    gap = x - mean
    if abs(gap) >= 0.1 * (x + mean):
        return x * math.log(x / mean) - gap
    ratio = gap / (x + mean)
    total = gap * ratio
    power = 2 * x * ratio
    for k in range(1, 1000):
        power *= ratio * ratio
        larger = total + power / (2 * k + 1)
        if larger == total:
            break
        total = larger
    return total
