"""The effect: a column's headline size, with what chance makes of it taken off and a 95 % interval."""

from typing import Literal, NamedTuple

import msgspec
import numpy as np

from drift.statistics.shares import Counts

#: Normal quantile of a two-sided 95 % interval.
Z95 = 1.959964
#: Mean of Kolmogorov's law; and of the size of a standard normal number.
KOLMOGOROV_MEAN, HALF_NORMAL_MEAN = 0.8687, np.sqrt(2 / np.pi)


class Effect(msgspec.Struct, frozen=True):
    """How far a window is from its reference.

    ``raw`` is the distance as computed; ``bias`` its size when nothing moved; ``value`` the effect,
    ``sqrt(max(0, raw^2 - bias^2))``; ``low`` to ``high`` its 95 % interval.
    """

    statistic: Literal["ks", "tvd"]
    raw: float
    bias: float
    value: float
    low: float
    high: float


class Effects(NamedTuple):
    """Effects of many columns: as `Effect`, float64 [columns] each."""

    statistic: Literal["ks", "tvd"]
    raw: np.ndarray
    bias: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def rows(self) -> list[Effect]:
        """One `Effect` a column."""
        columns = zip(*(part.tolist() for part in self[1:]), strict=True)
        return [Effect(self.statistic, *numbers) for numbers in columns]


def effect(kind: str, reference: Counts, current: Counts, design_effect: float = 1.0) -> Effect:
    """Effect of a column: Kolmogorov-Smirnov's distance of a numeric one, total variation of any other.

    Parameters
    ----------
    kind
        ``numeric``, ``categorical`` or ``boolean``.
    reference, current
        Counts over the same cells.
    design_effect
        How much the rows' dependence inflates variances (`Reference.design_effects`).

    >>> moved = effect("categorical", [5000, 5000], [700, 300])
    >>> moved.statistic, round(moved.raw, 3), moved.low < 0.2 < moved.high
    ('tvd', 0.2, True)
    """
    was, now = np.asarray(reference)[None], np.asarray(current)[None]
    inflated = np.array([design_effect])
    if not was.sum() or not now.sum():
        nan = float("nan")
        return Effect("ks" if kind == "numeric" else "tvd", nan, nan, nan, nan, nan)
    if kind == "numeric":
        return ks_effects(was, now, np.array([was.shape[1] - 1]), inflated).rows()[0]
    return tvd_effects(was, now, inflated).rows()[0]


def ks_effects(was: np.ndarray, now: np.ndarray, last: np.ndarray, design_effect: np.ndarray) -> Effects:
    """Largest gaps between distribution functions.

    Parameters
    ----------
    was, now
        Counts of numeric columns, [columns, cells], 0 where a column has no more; each with at least one row.
    last
        Each column's last cell, where both distribution functions are 1, int [columns].
    design_effect
        float64 [columns].
    """
    reference_n, n = was.sum(axis=1), now.sum(axis=1)
    gap = np.abs(np.cumsum(now / n[:, None] - was / reference_n[:, None], axis=1))
    gap[np.arange(gap.shape[1]) >= last[:, None]] = -1.0
    at = gap.argmax(axis=1)[:, None]
    raw = np.take_along_axis(gap, at, axis=1)[:, 0]
    variance = sum(
        _share_variance(np.take_along_axis(np.cumsum(counts, axis=1), at, axis=1)[:, 0], total)
        for counts, total in ((was, reference_n), (now, n))
    )
    bias = KOLMOGOROV_MEAN * np.sqrt(design_effect * (1 / n + 1 / reference_n))
    reach = Z95 * np.sqrt(design_effect * variance)
    low = np.maximum(0.0, _without(raw, bias) - reach)
    return Effects("ks", raw, bias, _without(raw, bias), low, np.minimum(1.0, raw + reach))


def tvd_effects(was: np.ndarray, now: np.ndarray, design_effect: np.ndarray) -> Effects:
    """Half the sums of differences between shares; parameters as in `ks_effects`.

    Parameters
    ----------
    was, now
        Counts of many columns, [columns, cells], cells that a column lacks are 0.
    design_effect
        By column, float64 [columns], at least 1.
    """
    reference_n, n = was.sum(axis=1), now.sum(axis=1)
    change = now / n[:, None] - was / reference_n[:, None]
    raw = 0.5 * np.abs(change).sum(axis=1)
    pooled = (was + now) / (reference_n + n)[:, None]
    # Each difference is half normal where both sides are drawn from their common shares.
    spread = np.sqrt(pooled * (1 - pooled) * (design_effect * (1 / n + 1 / reference_n))[:, None])
    bias = 0.5 * HALF_NORMAL_MEAN * spread.sum(axis=1)
    # Variance of half the sum of sign * (q - p), the signs being those seen.
    risen = change > 0
    variance = sum(
        _share_variance(np.where(risen, counts, 0).sum(axis=1), total)
        for counts, total in ((was, reference_n), (now, n))
    )
    reach = Z95 * np.sqrt(design_effect * variance)
    # Many cells make a bias larger than the effect: the lower end is moved first, and then relieved of it.
    low = _without(np.maximum(0.0, raw - reach), bias)
    return Effects("tvd", raw, bias, _without(raw, bias), low, np.minimum(1.0, raw + reach))


def _without(raw: np.ndarray, bias: np.ndarray) -> np.ndarray:
    value: np.ndarray = np.sqrt(np.maximum(0.0, raw**2 - bias**2))
    return value


def _share_variance(k: np.ndarray, n: np.ndarray) -> np.ndarray:
    # One row more on each side (Agresti and Coull): a share of 0 of 20 is not known exactly.
    share = (k + 1) / (n + 2)
    variance: np.ndarray = share * (1 - share) / (n + 2)
    return variance
