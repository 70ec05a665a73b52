"""What statistics of columns are made of: counts of many columns side by side, a reference's and a window's.

Columns of one sort are rows of a matrix, filled up with cells that nothing falls into. What the reference alone decides
is computed once; what several statistics need of a window is computed once a window.
"""

from functools import cached_property

import numpy as np

from drift.statistics.effect import Effects, ks_effects, tvd_effects
from drift.statistics.wasserstein import Polygons, polygons


class Columns:
    """A reference's columns of one sort: all that windows are compared with.

    Parameters
    ----------
    counts
        Rows of the reference, int64 [columns, cells].
    null, unseen, out_of_range
        Which cells are so, bool [columns, cells].
    last
        Each column's last cell, int64 [columns].
    design_effects
        float64 [columns].
    """

    def __init__(
        self,
        counts: np.ndarray,
        null: np.ndarray,
        unseen: np.ndarray,
        out_of_range: np.ndarray,
        last: np.ndarray,
        design_effects: np.ndarray,
    ) -> None:
        self.counts = counts
        self.rows = counts.sum(axis=1)
        self.null, self.unseen, self.out_of_range = null, unseen, out_of_range
        self.last = last
        self.design_effects = design_effects

    def effects(self, counts: np.ndarray) -> Effects:
        """Effects of a window's counts."""
        return tvd_effects(self.counts, counts, self.design_effects)


class Numbers(Columns):
    """The numeric columns.

    Attributes
    ----------
    edges
        Ascending, float64 [columns, k], infinite where a column has no more.
    scale, centre
        Of the fixed-point moments, float64 [columns].
    spread
        Robust, float64 [columns].
    extremes
        Smallest and largest finite value, float64 [columns, 2].
    """

    edges: np.ndarray
    scale: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    extremes: np.ndarray

    def effects(self, counts: np.ndarray) -> Effects:
        """Effects of a window's counts."""
        return ks_effects(self.counts, counts, self.last, self.design_effects)

    def finite(self, counts: np.ndarray) -> np.ndarray:
        """Counts of the intervals of the real line: neither infinities nor null, [columns, edges + 1]."""
        cell = np.arange(self.counts.shape[1])
        inside = (cell > 0) & (cell < self.last[:, None] - 1)
        return np.where(inside, counts, 0)[:, 1 : self.edges.shape[1] + 2]

    @cached_property
    def distributions(self) -> tuple[np.ndarray, Polygons]:
        """Which columns hold a finite value, bool [columns], and the distribution functions of those."""
        counts = self.finite(self.counts)
        held = counts.sum(axis=1) > 0
        return held, polygons(self.edges[held], counts[held], self.extremes[held])


class Compared:
    """A window of at least one row beside a reference's columns of one sort.

    Parameters
    ----------
    columns
        The reference's.
    counts
        Rows of the window, int64 [columns, cells].
    moments
        Sums of fixed-point values, int64 [columns, 2].
    extremes
        Smallest and largest finite value, float64 [columns, 2].
    """

    def __init__(self, columns: Columns, counts: np.ndarray, moments: np.ndarray, extremes: np.ndarray) -> None:
        self.columns = columns
        self.counts = counts
        self.moments = moments
        self.extremes = extremes
        self.rows = counts.sum(axis=1)

    @property
    def numbers(self) -> Numbers:
        """The reference's columns, which are numeric."""
        assert isinstance(self.columns, Numbers)
        return self.columns

    @cached_property
    def effects(self) -> Effects:
        """Effects of the columns."""
        return self.columns.effects(self.counts)

    @cached_property
    def occupied(self) -> np.ndarray:
        """Cells that hold a row on either side, bool [columns, cells]."""
        occupied: np.ndarray = self.columns.counts + self.counts > 0
        return occupied

    @cached_property
    def finite(self) -> np.ndarray:
        """The window's counts of finite values; see `Numbers.finite`."""
        return self.numbers.finite(self.counts)

    def shares(self, cells: np.ndarray) -> np.ndarray:
        """Shares of the window's rows in the cells that are marked, float64 [columns]."""
        shares: np.ndarray = (self.counts * cells).sum(axis=1) / self.rows
        return shares
