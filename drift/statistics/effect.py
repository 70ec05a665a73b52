"""The effect: a column's headline size, with what chance makes of it taken off and a 95 % interval."""

from typing import Literal

import msgspec
import numpy as np

from drift.statistics.ks import bias as ks_bias
from drift.statistics.ks import gaps
from drift.statistics.shares import Counts, shares
from drift.statistics.tvd import bias as tvd_bias
from drift.statistics.tvd import tvd

#: Normal quantile of a two-sided 95 % interval.
Z95 = 1.959964


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
    n, reference_n = float(np.sum(current)), float(np.sum(reference))
    if not n or not reference_n:
        nan = float("nan")
        return Effect("ks" if kind == "numeric" else "tvd", nan, nan, nan, nan, nan)
    if kind == "numeric":
        raw, variance = _gap(reference, current)
        bias = ks_bias(n, reference_n, design_effect)
        reach = Z95 * float(np.sqrt(design_effect * variance))
        low = _without(raw, bias) - reach
        return Effect("ks", raw, bias, _without(raw, bias), max(0.0, low), min(1.0, raw + reach))
    raw, bias = tvd(reference, current), tvd_bias(reference, current, design_effect)
    reach = Z95 * float(np.sqrt(design_effect * _signed_variance(reference, current)))
    # Many cells make a bias larger than the effect: the lower end is moved first, and then relieved of it.
    return Effect("tvd", raw, bias, _without(raw, bias), _without(max(0.0, raw - reach), bias), min(1.0, raw + reach))


def _without(raw: float, bias: float) -> float:
    return float(np.sqrt(max(0.0, raw**2 - bias**2)))


def _gap(reference: Counts, current: Counts) -> tuple[float, float]:
    """Largest gap, and the variance of the two shares that it is the difference of."""
    gap = gaps(reference, current)[:-1]
    at = int(np.abs(gap).argmax())
    variance = sum(_share_variance(np.sum(counts[: at + 1]), np.sum(counts)) for counts in (reference, current))
    return float(abs(gap[at])), variance


def _share_variance(k: float, n: float) -> float:
    # One row more on each side (Agresti and Coull): a share of 0 of 20 is not known exactly.
    share = (k + 1) / (n + 2)
    return float(share * (1 - share) / (n + 2))


def _signed_variance(reference: Counts, current: Counts) -> float:
    """Variance of half the sum of sign * (q - p), the signs being those seen."""
    sign = np.sign(shares(current) - shares(reference))
    return sum(_share_variance(float(np.sum(np.asarray(c)[sign > 0])), float(np.sum(c))) for c in (reference, current))
