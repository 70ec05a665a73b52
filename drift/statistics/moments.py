"""Mean and standard deviation from fixed-point moment sums."""

import numpy as np

from drift.cells.kernel import FIXED_ONE


def mean_sd(moments: np.ndarray, n: int, centre: float, scale: float) -> tuple[float, float]:
    """Mean and standard deviation in the column's unit.

    Values farther than 256 scales from the centre count as if they were there, so one absurd value cannot hide the
    rest; the step of the fixed point is a 4096th of the scale.

    Parameters
    ----------
    moments
        int64 [2]: sums of the fixed-point values and of their squares over ``n`` finite values.

    >>> mean_sd(np.array([8192, 33_554_432]), 2, centre=10.0, scale=1.0)
    (11.0, 0.0)
    """
    if not n:
        return float("nan"), float("nan")
    mean = int(moments[0]) / n
    variance = max(0.0, int(moments[1]) / n - mean**2)
    step = scale / FIXED_ONE
    return float(centre + mean * step), float(np.sqrt(variance) * step)
