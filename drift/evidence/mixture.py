"""The e-value of a stretch of windows, and its sum over starts.

Under no change the weighted sum ``Z`` of a stretch's z is normal with variance ``m``. Betting on a mean of ``tau``
standard deviations a window, either way, multiplies one's capital by ``(1 + m tau^2)^(-1/2) exp(tau^2 Z^2 /
(2 (1 + m tau^2)))``, which is 1 on average; the mean over several ``tau`` is an e-value, too. A sum of such bets, one
begun with every window, is an e-detector: it stays below ``c`` for ``c`` windows on average (Shin, Ramdas and
Rinaldo, 2023).
"""

import math

import numpy as np
from numba import njit

#: Shifts that are bet on, in standard deviations of a window of `ROWS_NOMINAL` rows.
TAUS = (0.25, 1.0, 3.0)
ROWS_NOMINAL = 200
#: A term this much smaller, in logs, is lost in a float anyway.
NEGLIGIBLE = 40.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def log_evidence(
    sums: np.ndarray,
    mass: float,
    before: np.ndarray,
    mass_before: np.ndarray,
    log_weight: np.ndarray,
    span: np.ndarray,
    open_from: np.ndarray,
) -> np.ndarray:
    """Log of each column's e-value for a change at each start, float64 [starts, columns]; -inf before `open_from`.

    Parameters
    ----------
    sums, mass
        Running sums of ``a z`` [contrasts] and of ``a^2`` up to now.
    before, mass_before
        The same just before each kept start, [starts, contrasts] and [starts].
    log_weight
        Of each contrast inside its column.
    span
        Place of each column's first contrast, int64 [columns + 1].
    open_from
        First start (position in ``before``) that counts for each column, int64 [columns].

    >>> one, none = np.zeros(1), np.zeros((1, 1))
    >>> round(float(np.exp(log_evidence(one + 3, 1.0, none, one, one, np.array([0, 1]), np.array([0])))[0, 0]), 1)
    8.7
    """
    starts, columns, taus = len(before), len(span) - 1, len(TAUS)
    log_e = np.full((starts, columns), -np.inf)
    log_factor, slope = np.empty(taus), np.empty(taus)
    for s in range(starts):
        m = mass - mass_before[s]
        for t in range(taus):
            grown = 1.0 + m * TAUS[t] ** 2
            log_factor[t] = -0.5 * math.log(grown) - math.log(taus)
            slope[t] = 0.5 * TAUS[t] ** 2 / grown
        for column in range(columns):
            if s < open_from[column]:
                continue
            top, total = -np.inf, 0.0
            for i in range(span[column], span[column + 1]):
                square = (sums[i] - before[s, i]) ** 2
                for t in range(taus):
                    x = log_weight[i] + log_factor[t] + slope[t] * square
                    # Exponentials are summed relative to the largest so far: evidence passes 1e308 in a day.
                    if x <= top - NEGLIGIBLE:
                        continue
                    if x <= top:
                        total += math.exp(x - top)
                    else:
                        total = total * math.exp(top - x) + 1.0
                        top = x
            log_e[s, column] = top + math.log(total)
    return log_e
