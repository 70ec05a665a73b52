"""Surprise: one standard normal number a contrast, for one window against its pool.

If rows are exchangeable and the pool is all that came before, these numbers are independent over windows and
standard normal, the uncertainty of a finite reference included.
"""

import numpy as np
from numba import njit
from scipy.special import ndtri_exp

from drift.evidence.contrasts import Contrasts
from drift.evidence.hypergeometric import log_tail
from drift.evidence.saddlepoint import r_star

#: No rows say more.
_Z_MAX = 1e6


def surprise(contrasts: Contrasts, pool: np.ndarray, window: np.ndarray, start_ms: int) -> np.ndarray:
    """z of every contrast, float64 [contrasts].

    Parameters
    ----------
    contrasts
        The contrasts.
    pool, window
        Counts in every cell, int64 flat. Columns may have pools of different sizes.
    start_ms
        Event time of the window's start; it seeds what decides between ties.

    >>> from drift.cells.cells import Cells
    >>> from drift.evidence.contrasts import contrasts
    >>> coin = [Cells(name="heads", kind="boolean", levels=("false", "true"))]
    >>> pool, window = np.array([5000, 5000, 0]), np.array([140, 60, 0])
    >>> float(surprise(contrasts(coin, pool), pool, window, 0)[0].round(1))
    5.7
    """
    roots, tails = np.empty(len(contrasts)), np.empty(len(contrasts))
    ties = uniforms(contrasts.seeds, start_ms)
    _ask_all(
        contrasts.scores, contrasts.score_bounds, contrasts.first, contrasts.indicator, pool, window, ties, roots, tails
    )
    exact = np.where(tails < 0, 1.0, -1.0) * ndtri_exp(-np.abs(tails))
    z = np.where(contrasts.indicator, np.where(tails == 0, 0.0, exact), roots)
    # Of billions of rows the tails are beyond floats, and what is not finite here would never be finite again.
    clipped: np.ndarray = np.clip(np.nan_to_num(z, nan=0.0), -_Z_MAX, _Z_MAX)
    return clipped


def uniforms(seeds: np.ndarray, start_ms: int) -> np.ndarray:
    """Uniform numbers between 0 and 1, ends excluded: a hash of contrast and event time, never of a running index.

    The names were hashed by blake2b when the contrasts were laid out; splitmix64 (Steele and others, 2014) mixes the
    time in, a thousand contrasts at once.
    """
    time = _mix(np.full(1, start_ms, np.int64).view(np.uint64))
    numbers: np.ndarray = ((_mix(seeds ^ time) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return numbers


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ask_all(
    scores: np.ndarray,
    score_bounds: np.ndarray,
    first: np.ndarray,
    indicator: np.ndarray,
    pool: np.ndarray,
    window: np.ndarray,
    ties: np.ndarray,
    roots: np.ndarray,
    tails: np.ndarray,
) -> None:
    for i in range(len(first)):
        mine = scores[score_bounds[i] : score_bounds[i + 1]]
        before = pool[first[i] : first[i] + len(mine)]
        now = window[first[i] : first[i] + len(mine)]
        roots[i] = tails[i] = 0.0
        if not indicator[i]:
            roots[i] = r_star(mine, before, now)
            continue
        k, n, successes, population = 0, 0, 0, 0
        for j in range(len(mine)):
            n += now[j]
            population += before[j] + now[j]
            if mine[j] > 0:
                k += now[j]
                successes += before[j] + now[j]
        tails[i] = log_tail(k, n, successes, population, ties[i])
