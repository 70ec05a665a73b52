"""95 % intervals of shares, means, and figures between 0 and 1."""

import numpy as np

from drift.statistics.effect import Z95


def wilson(k: float, n: float) -> tuple[float, float]:
    """Wilson's interval of a share.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if not n:
        return float("nan"), float("nan")
    share, z2 = k / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return float(max(0.0, middle - reach)), float(min(1.0, middle + reach))


def normal(mean: float, variance_of_mean: float) -> tuple[float, float]:
    """Normal interval of a mean.

    >>> [round(end, 3) for end in normal(2.0, 0.25)]
    [1.02, 2.98]
    """
    reach = Z95 * float(np.sqrt(max(0.0, variance_of_mean)))
    return mean - reach, mean + reach


def logit(value: float, variance: float) -> tuple[float, float]:
    """Interval of a figure between 0 and 1, normal on the logit scale, so that its ends stay inside.

    >>> [round(end, 3) for end in logit(0.9, 0.0004)]
    [0.853, 0.933]
    """
    if not 0 < value < 1:
        return value, value
    middle = np.log(value / (1 - value))
    reach = Z95 * np.sqrt(variance) / (value * (1 - value))
    low, high = 1 / (1 + np.exp(reach - middle)), 1 / (1 + np.exp(-reach - middle))
    return float(low), float(high)
