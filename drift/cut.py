"""Cutting: from a reference's values to the edges and the levels of its cells."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

#: Cells of equal mass, and the tails that they would blur (shares of rows, on each side).
EQUIPROBABLE = 32
TAILS = (0.0005, 0.002, 0.005, 0.01, 0.02)
#: Fewest reference rows worth a cell of equal mass.
CELL_ROWS_MIN = 5
#: A value with more than this share of the rows gets a cell of its own.
POINT_MASS = 0.02
#: Levels with a cell of their own, and levels remembered at all.
NAMED_LEVELS_MAX = 62
KNOWN_LEVELS_MAX = 4096

_INFINITY = np.float32(np.inf)


def edges(
    values: np.ndarray, low: float | None = None, high: float | None = None, at: float | None = None
) -> tuple[float, ...]:
    """Edges of a numeric column's cells from its float32 values [rows].

    Quantiles for cells of equal mass and for the tails, both sides of every point mass, the ends of the plausible
    range ``low``..``high``, and ``at`` (a decision's threshold).

    >>> edges(np.arange(1000, dtype=np.float32))[:5]  # Tails of .2, .5, 1 and 2 %, then a 32nd.
    (2.0, 5.0, 10.0, 20.0, 31.0)
    """
    finite = np.sort(values[np.isfinite(values)])
    points, times = np.unique(finite, return_counts=True)
    heavy = times > POINT_MASS * len(finite)
    # What lies between the point masses is cut as if it stood alone: nine tenths of zeros must not blur the rest.
    found = _around(points[heavy]) | set(_quantiles(np.repeat(points[~heavy], times[~heavy])))
    if low is not None:
        found.add(float(np.float32(low)))
    if high is not None:
        found.add(above(high))
    if at is not None:
        found.add(float(np.float32(at)))
    return tuple(sorted(edge for edge in found if math.isfinite(edge)))


def above(value: float) -> float:
    """The next float32: an edge there keeps ``value`` itself in the cell below."""
    with np.errstate(over="ignore"):  # Nothing is above the largest float but infinity.
        return float(np.nextafter(np.float32(value), _INFINITY))


def _quantiles(ascending: np.ndarray) -> Iterable[float]:
    n = len(ascending)
    cells = min(EQUIPROBABLE, max(1, n // CELL_ROWS_MIN))
    ranks = {n * k // cells for k in range(1, cells)}
    for tail in TAILS:
        ranks |= {math.floor(tail * n), n - math.floor(tail * n)}
    return (float(ascending[rank]) for rank in ranks if 0 < rank < n)


def _around(points: np.ndarray) -> set[float]:
    """Edges on both sides of each point: the cell between them holds nothing else."""
    return {float(point) for point in points} | {above(point) for point in points}


def levels(counts: Mapping[str, int], known: Sequence[str] = ()) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Named levels, other known levels, and whether even more are known, from counts of rows by level.

    The most frequent levels get cells, ties by text. ``known`` are levels that a schema lists: they are never
    unseen, though the reference may not hold them. Named levels come in the schema's order if there is one.

    >>> levels({"b": 2, "a": 9}, known=("c",))
    (('c', 'a', 'b'), (), False)
    """
    everything = dict.fromkeys(known, 0) | dict(counts)
    ranked = sorted(everything, key=lambda level: (-everything[level], level))
    place = {level: k for k, level in enumerate(known)}
    named = sorted(ranked[:NAMED_LEVELS_MAX], key=lambda level: (place.get(level, len(place)), natural(level)))
    others = ranked[NAMED_LEVELS_MAX:KNOWN_LEVELS_MAX]
    return tuple(named), tuple(others), len(ranked) > KNOWN_LEVELS_MAX


def natural(level: str) -> tuple[bool, float, str]:
    """Sort key that puts numbers first and in their order.

    >>> sorted(["10", "b", "9", "a"], key=natural)
    ['9', '10', 'a', 'b']
    """
    try:
        number = float(level)
    except ValueError:
        return True, 0.0, level
    return math.isnan(number), 0.0 if math.isnan(number) else number, level
