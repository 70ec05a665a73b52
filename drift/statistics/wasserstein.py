"""Wasserstein-1 distance from cell counts, of many columns at once.

A distribution function is drawn as a polygon, a row a column; rows have equally many knots, and knots that a column
does not need lie on one that it does.
"""

from typing import NamedTuple

import numpy as np

from drift.statistics.shares import Counts

#: Corners of the polygon that stands for an outer cell's tail.
TAIL_KNOTS = 16
#: An outer cell with a larger share has filled up and is no tail any more.
TAIL_SHARE_MAX = 0.02


class Polygons(NamedTuple):
    """Distribution functions: ascending knots ``x`` and values ``y`` from 0 to 1, float64 [columns, knots]; from each
    knot to the next ``width`` (1 where they are one) and ``rise``, float64 [columns, knots - 1].
    """

    x: np.ndarray
    y: np.ndarray
    width: np.ndarray
    rise: np.ndarray

    def at(self, x: np.ndarray, knot: np.ndarray) -> np.ndarray:
        """Values at ``x``, given the last knot that is not above it (-1 before the first), [columns, places]."""
        last = self.rise.shape[1]
        start = np.clip(knot, 0, last - 1)
        x0, y0, width, rise = (np.take_along_axis(each, start, axis=1) for each in self)
        # Not by the slope: a step is as narrow as floats go, and its slope is infinite.
        value: np.ndarray = y0 + rise * ((x - x0) / width)
        value[knot < 0] = 0.0
        value[knot >= last] = 1.0
        return value


def wasserstein(
    edges: Counts, reference: Counts, current: Counts, reference_ends: Counts, current_ends: Counts
) -> float:
    """Area between two distribution functions, in the column's unit.

    Within a cell mass is taken as spread evenly; in an outer cell that is still a tail, as thinning out towards the
    smallest or largest value, as fast as so many exponential rows would. With the tail edges of `drift.cells.binning`
    the error is a few per cent on smooth, skewed and lumpy columns; where the mean hardly exists (Cauchy) read it as a
    warning.

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
    if not np.sum(reference) or not np.sum(current):
        return float("nan")
    ascending = np.append(np.asarray(edges, np.float64), np.inf)[None]
    was, now = (
        polygons(ascending, np.append(np.asarray(counts), 0)[None], np.asarray(ends, np.float64)[None])
        for counts, ends in ((reference, reference_ends), (current, current_ends))
    )
    return float(areas(was, now)[0])


def polygons(edges: np.ndarray, counts: np.ndarray, ends: np.ndarray) -> Polygons:
    """Draw distribution functions: exact at the edges, their outer cells thinning out.

    Parameters
    ----------
    edges
        Ascending, float64 [columns, k] with k >= 1; infinite where a column has no more.
    counts
        Of the cells of finite values, [columns, k + 1], 0 where a column has no more; each with at least one row.
    ends
        Smallest and largest finite value, float64 [columns, 2].
    """
    low, high = ends[:, :1], ends[:, 1:]
    n = counts.sum(axis=1, keepdims=True)
    inside = (edges > low) & (edges < high)
    below = np.cumsum(counts, axis=1)[:, :-1] / n
    first, last = inside.argmax(axis=1)[:, None], edges.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)[:, None]
    (x_first, y_first), (x_last, y_last) = (
        (np.take_along_axis(edges, at, axis=1), np.take_along_axis(below, at, axis=1)) for at in (first, last)
    )
    edge = np.arange(edges.shape[1])
    inner_y = np.where(edge < first, y_first, np.where(edge > last, y_last, below))
    with np.errstate(invalid="ignore"):  # Where no edge is inside these are replaced below.
        # Towards the low end the tail is the high end's, mirrored.
        left_x, left_y = _tails(x_first - low, y_first, n)
        right_x, right_y = _tails(high - x_last, 1 - y_last, n)
        x = np.hstack([x_first - left_x[:, ::-1], np.clip(edges, x_first, x_last), x_last + right_x])
    y = np.hstack([y_first * left_y[:, ::-1], inner_y, 1 - (1 - y_last) * right_y])
    lumped = ~inside.any(axis=1)  # One cell holds everything; a single value is a step.
    x[lumped], y[lumped] = np.nextafter(low[lumped], -np.inf), 0.0
    x[lumped, -TAIL_KNOTS:], y[lumped, -TAIL_KNOTS:] = high[lumped], 1.0
    width = np.diff(x, axis=1)
    return Polygons(x, y, np.where(width > 0, width, 1.0), np.diff(y, axis=1))


def areas(was: Polygons, now: Polygons) -> np.ndarray:
    """Area between the polygons of each column, float64 [columns]."""
    both = np.hstack([was.x, now.x])
    order = np.argsort(both, axis=1, kind="stable")
    knots = np.take_along_axis(both, order, axis=1)
    knot_was = np.cumsum(order < was.x.shape[1], axis=1) - 1
    knot_now = np.arange(both.shape[1]) - knot_was - 1
    gap = now.at(knots, knot_now) - was.at(knots, knot_was)
    area: np.ndarray = (np.diff(knots, axis=1) * _mean_size(gap[:, :-1], gap[:, 1:])).sum(axis=1)
    return area


def _tails(reach: np.ndarray, share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances beyond the outer edge, and the share of the outer cell's mass that lies farther out."""
    at = np.arange(1, TAIL_KNOTS + 1) / TAIL_KNOTS
    # The largest of k exponential values lies near ln(k) scales.
    rate = np.log(share * n + 1.0)
    rate[rate == 0] = 1.0
    thinning = (np.exp(-rate * at) - np.exp(-rate)) / (1 - np.exp(-rate))
    return at * reach, np.where(share > TAIL_SHARE_MAX, 1 - at, thinning)


def _mean_size(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mean of |f| over an interval where f goes straight from left to right, with or without crossing zero."""
    size = np.abs(left) + np.abs(right)
    crosses = left * right < 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = np.where(crosses, (left**2 + right**2) / (2 * size), size / 2)
    return mean
