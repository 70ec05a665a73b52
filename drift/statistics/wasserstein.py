"""Wasserstein-1 distance from cell counts."""

import numpy as np

from drift.statistics.shares import Counts

#: Corners of the polygon that stands for an outer cell's tail.
TAIL_KNOTS = 16
#: An outer cell with a larger share has filled up and is no tail any more.
TAIL_SHARE_MAX = 0.02


def wasserstein(
    edges: Counts, reference: Counts, current: Counts, reference_ends: Counts, current_ends: Counts
) -> float:
    """Area between two distribution functions, in the column's unit.

    Within a cell mass is taken as spread evenly; in an outer cell that is still a tail, as thinning out towards the
    smallest or largest value, as fast as so many exponential rows would. With the tail edges of `drift.cut` the error
    is a few per cent on smooth, skewed and lumpy columns; where the mean hardly exists (Cauchy) read it as a warning.

    Parameters
    ----------
    edges
        Of the cells, ascending [k].
    reference, current
        Counts of the k + 1 cells of finite values (no null, no infinity).
    reference_ends, current_ends
        Smallest and largest finite value of each side.

    >>> wasserstein([1.0, 2.0], [10, 10, 10], [10, 10, 10], (0, 3), (0, 3))
    0.0
    >>> round(wasserstein([1.0, 2.0], [10, 0, 0], [0, 0, 10], (0, 1), (2, 3)), 6)
    2.0
    """
    edges, reference_ends, current_ends = (np.asarray(a, np.float64) for a in (edges, reference_ends, current_ends))
    if not np.sum(reference) or not np.sum(current):
        return float("nan")
    was = _distribution(edges, np.asarray(reference), reference_ends)
    now = _distribution(edges, np.asarray(current), current_ends)
    knots = np.unique(np.concatenate([was[0], now[0]]))
    gap = np.interp(knots, *now, left=0.0, right=1.0) - np.interp(knots, *was, left=0.0, right=1.0)
    return float(np.sum(np.diff(knots) * _mean_size(gap[:-1], gap[1:])))


def _distribution(edges: np.ndarray, counts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distribution function as a polygon: exact at the edges, its outer cells thinning out."""
    low, high = ends
    n = counts.sum()
    inside = (edges > low) & (edges < high)
    below = np.cumsum(counts)[:-1][inside] / n
    inner = edges[inside]
    if not len(inner):  # One cell holds everything; a single value is a step.
        return np.array([np.nextafter(low, -np.inf), high]), np.array([0.0, 1.0])
    # Towards the low end the tail is the high end's, mirrored.
    left_x, left_y = _tail(inner[0] - low, below[0], n)
    right_x, right_y = _tail(high - inner[-1], 1 - below[-1], n)
    return (
        np.concatenate([inner[0] - left_x[::-1], inner, inner[-1] + right_x]),
        np.concatenate([below[0] * left_y[::-1], below, 1 - (1 - below[-1]) * right_y]),
    )


def _tail(reach: float, share: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances beyond the outer edge, and the share of the outer cell's mass that lies farther out."""
    at = np.arange(1, TAIL_KNOTS + 1) / TAIL_KNOTS
    if share > TAIL_SHARE_MAX:
        return at * reach, 1 - at
    # The largest of k exponential values lies near ln(k) scales.
    rate = np.log(share * n + 1.0) or 1.0
    return at * reach, (np.exp(-rate * at) - np.exp(-rate)) / (1 - np.exp(-rate))


def _mean_size(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mean of |f| over an interval where f goes straight from left to right, with or without crossing zero."""
    size = np.abs(left) + np.abs(right)
    crosses = left * right < 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = np.where(crosses, (left**2 + right**2) / (2 * size), size / 2)
    return mean
