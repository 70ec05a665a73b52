"""Many tests in one look. They hold for one window; a stream needs evidence that adds up (`drift.evidence`)."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values: reject where they are at most alpha, and one wrong rejection has chance alpha.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values: of those at most alpha, a share alpha is wrong on average.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    array([0.03, 0.04, 0.04])
    """
    adjusted: np.ndarray = false_discovery_control(p_values)
    return adjusted


def e_bh(e_values: Sequence[float], alpha: float) -> list[int]:
    """Positions that e-BH rejects, largest first: the top k with ``e_(k) >= K / (alpha k)``, k as large as it goes.

    It holds under any dependence of the e-values (Wang, Ramdas 2022).

    >>> e_bh([1.0, 90.0, 300.0], alpha=0.05)
    [2, 1]
    """
    e = np.asarray(e_values, np.float64)
    order = np.argsort(-e, kind="stable")
    enough = e[order] >= len(e) / (alpha * np.arange(1, len(e) + 1))
    rejected = int(np.flatnonzero(enough).max()) + 1 if enough.any() else 0
    return [int(k) for k in order[:rejected]]
