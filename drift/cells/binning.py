"""Cutting: from a reference's values to the edges and the levels of its cells."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

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
#: Where more levels than this occur but once, there are others that have not occurred yet; and a level with fewer rows
#: than that may owe most of them to luck.
ONCE_MAX = 5
ENDLESS_ROWS_MIN = 20

_INFINITY = np.float32(np.inf)


class Ordered(Protocol):
    """Finite float32 values of a column in order, wherever they are."""

    def masses(self, share: float) -> np.ndarray:
        """Values that more than a share of the rows have, ascending."""
        ...

    def rows(self, without: np.ndarray) -> int:
        """How many there are but for some values."""
        ...

    def ranked(self, ranks: Sequence[int], without: np.ndarray) -> np.ndarray:
        """Values at ranks (from 0, ascending), some values left out."""
        ...

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Every value, ascending, and how many rows have it."""
        ...


class Sorted:
    """Values in memory, in order; one zero is made of two."""

    def __init__(self, values: np.ndarray) -> None:
        finite = np.sort(values[np.isfinite(values)]) + np.float32(0)
        firsts = np.flatnonzero(np.append(True, finite[1:] != finite[:-1])) if len(finite) else np.zeros(0, np.int64)
        self.points, self.times = finite[firsts], np.diff(np.append(firsts, len(finite)))

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Ordered`."""
        return self.points, self.times

    def masses(self, share: float) -> np.ndarray:
        """See `Ordered`."""
        heavy: np.ndarray = self.points[self.times > share * self.times.sum()]
        return heavy

    def rows(self, without: np.ndarray) -> int:
        """See `Ordered`."""
        return int(self.times[~np.isin(self.points, without)].sum())

    def ranked(self, ranks: Sequence[int], without: np.ndarray) -> np.ndarray:
        """See `Ordered`."""
        kept = ~np.isin(self.points, without)
        values: np.ndarray = self.points[kept][np.searchsorted(np.cumsum(self.times[kept]), ranks, side="right")]
        return values


def edges(
    values: np.ndarray, low: float | None = None, high: float | None = None, at: float | None = None
) -> tuple[float, ...]:
    """Edges of a numeric column's cells from its float32 values [rows]; see `edges_of`.

    Parameters
    ----------
    values
        float32 [rows], finite.
    low, high
        Ends of the plausible range; None for an open one.
    at
        A value that becomes an edge, such as a decision's threshold.

    >>> edges(np.arange(1000, dtype=np.float32))[:5]  # Tails of .2, .5, 1 and 2 %, then a 32nd.
    (2.0, 5.0, 10.0, 20.0, 31.0)
    """
    return edges_of(Sorted(values), low, high, at)


def edges_of(
    ordered: Ordered, low: float | None = None, high: float | None = None, at: float | None = None
) -> tuple[float, ...]:
    """Edges of a numeric column's cells.

    Quantiles for cells of equal mass and for the tails, both sides of every point mass, the ends of the plausible
    range ``low``..``high``, and ``at`` (a decision's threshold).

    Parameters
    ----------
    ordered
        The finite values, in order.
    low, high
        Ends of the plausible range; None for an open one.
    at
        A value that becomes an edge, such as a decision's threshold.
    """
    heavy = ordered.masses(POINT_MASS)
    # What lies between the point masses is cut as if it stood alone: nine tenths of zeros must not blur the rest.
    ranks = _ranks(ordered.rows(without=heavy))
    edges = _around(heavy) | {float(value) for value in (ordered.ranked(ranks, without=heavy) if ranks else ())}
    if low is not None:
        edges.add(float(np.float32(low)))
    if high is not None:
        edges.add(above(high))
    if at is not None:
        edges.add(float(np.float32(at)))
    return tuple(sorted(edge for edge in edges if math.isfinite(edge)))


def fixed_point(ordered: Ordered) -> tuple[float, float, float]:
    """Centre, scale and spread of a numeric column: median, a power of two, and IQR / 1.349 (else the sd, else 1)."""
    nothing = np.zeros(0, np.float32)
    n = ordered.rows(without=nothing)
    if not n:
        return 0.0, 1.0, 1.0
    quarters = [math.ceil(n * share) - 1 for share in (0.25, 0.5, 0.75)]
    low, middle, high = (float(value) for value in ordered.ranked(quarters, without=nothing))
    spread = (high - low) / 1.349 or _deviation(*ordered.distinct()) or 1.0
    return middle, float(2.0 ** np.round(np.log2(spread))), spread


def above(value: float) -> float:
    """The next float32: an edge there keeps ``value`` itself in the cell below."""
    with np.errstate(over="ignore"):  # Nothing is above the largest float but infinity.
        return float(np.nextafter(np.float32(value), _INFINITY))


def _deviation(points: np.ndarray, times: np.ndarray) -> float:
    """Standard deviation of values that occur so many times."""
    wide = points.astype(np.float64)
    return float(np.sqrt(times @ (wide - times @ wide / times.sum()) ** 2 / times.sum()))


def _ranks(n: int) -> list[int]:
    """Ranks of the values that cut n rows into cells of equal mass and tails."""
    cells = min(EQUIPROBABLE, max(1, n // CELL_ROWS_MIN))
    ranks = {n * k // cells for k in range(1, cells)}
    for tail in TAILS:
        ranks |= {math.floor(tail * n), n - math.floor(tail * n)}
    return sorted(rank for rank in ranks if 0 < rank < n)


def _around(points: np.ndarray) -> set[float]:
    """Edges on both sides of each point: the cell between them holds nothing else."""
    return {float(point) for point in points} | {above(point) for point in points}


def levels(
    counts: Mapping[str, int], known: Sequence[str] = (), closed: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Named levels, other known levels, and whether there are even more, from counts of rows by level.

    The most frequent levels get cells, ties by text. ``known`` are levels that a schema lists: they are never
    unseen, though the reference may not hold them. Named levels come in the schema's order if there is one.

    The next row brings a level that was never seen about as often as a row brought one that is seen but once (Good,
    1953). So where many are seen but once, unless the list is ``closed``, a new one is nothing new: it counts among the
    others, and none gets a cell by a few rows of luck.

    Parameters
    ----------
    counts
        Rows by level, missing ones left out.
    known
        Levels that a schema lists, in its order.
    closed
        Whether there are no levels but these.

    >>> levels({"b": 2, "a": 9}, known=("c",))
    (('c', 'a', 'b'), (), False)
    >>> levels({"a": 90, "b": 2} | dict.fromkeys("tuvwxyz", 1))
    (('a',), ('b', 't', 'u', 'v', 'w', 'x', 'y', 'z'), True)
    """
    everything = dict.fromkeys(known, 0) | dict(counts)
    ranked = sorted(everything, key=lambda level: (-everything[level], level))
    rank = {level: k for k, level in enumerate(known)}
    chosen = ranked[:NAMED_LEVELS_MAX]
    endless = not closed and _once(counts, known) > ONCE_MAX
    if endless:
        chosen = [level for level in chosen if everything[level] >= ENDLESS_ROWS_MIN]
    named = sorted(chosen, key=lambda level: (rank.get(level, len(rank)), natural(level)))
    others = ranked[len(chosen) : KNOWN_LEVELS_MAX]
    return tuple(named), tuple(others), endless or len(ranked) > KNOWN_LEVELS_MAX


def selection_bias(counts: Mapping[str, int], named: Sequence[str], others: Sequence[str]) -> int:
    """Rows by which named levels are overcounted, because these very counts chose them: the winner's curse.

    A row whose level was only just chosen would be one of the others if it were left out: as many rows, on average,
    will be among them next time. How many levels are so close is read off both sides of the border, for there it hangs
    on ties.

    Parameters
    ----------
    counts
        Rows by level.
    named
        Levels with a cell of their own.
    others
        Levels that share one cell.

    >>> selection_bias({"a": 900, "b": 52, "c": 50, "d": 47, "e": 45, "f": 20}, ["a", "b", "c"], ["d", "e", "f"])
    10
    """
    if not named or not others:
        return 0
    every = np.array([counts.get(level, 0) for level in (*named, *others)])
    border, total = int(every[: len(named)].min()), int(every[: len(named)].sum())
    reach = max(1, round(math.sqrt(border)))
    below = np.count_nonzero((every < border) & (every >= border - reach))
    above = np.count_nonzero((every > border) & (every <= border + reach))
    return min(round(border * math.sqrt(below * above) / reach), total)


def _once(counts: Mapping[str, int], known: Sequence[str]) -> int:
    """Levels that occur but once. A schema that lists one which never occurs was not made of these rows: what it lists
    is known anyway.
    """
    listed = set(known) if any(level not in counts for level in known) else set()
    return sum(n == 1 and level not in listed for level, n in counts.items())


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
