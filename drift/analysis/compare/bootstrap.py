"""Bootstrap of a distance: what chance adds to it, and its interval."""

from collections.abc import Callable

import numpy as np

from drift.analysis.compare.result import NO_INTERVAL

RESAMPLES = 200


def debiased(
    value: float, draw: Callable[[np.random.Generator], float], seed: int, most: float = np.inf, power: int = 2
) -> tuple[float, tuple[float, float]]:
    """Effect and 95 % interval of a distance (the basic bootstrap).

    A distance between samples is larger than the one between their sources; redrawing shows by how much, and it is
    taken off. Ends are kept within [0, most].

    Parameters
    ----------
    draw
        The distance between two redrawn samples.
    power
        What chance adds to: the square of a distance, but a divergence (psi, kl) as it is.
    """
    if not np.isfinite(value):
        return value, NO_INTERVAL
    rng = np.random.default_rng(seed)
    draws = np.array([draw(rng) for _ in range(RESAMPLES)]) ** power
    ends = 2 * value**power - np.quantile(draws, (0.975, 0.5, 0.025), method="inverted_cdf")
    low, middle, high = np.clip(np.maximum(ends, 0.0) ** (1 / power), 0.0, most)
    return float(middle), (float(low), float(high))
