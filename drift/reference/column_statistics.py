"""All the numbers of all columns in one window, a few array operations for a thousand columns."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from drift.cells.kernel import FIXED_ONE
from drift.cells.sums import Sums
from drift.reference.reference import Reference
from drift.statistics.effect import Effect, ks_effects, tvd_effects
from drift.statistics.wasserstein import Polygons, areas, polygons


class ColumnStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A column against its reference; what its kind does not have is None.

    ``ks`` and ``tvd`` are raw distances; `effect` has chance taken off. ``w1`` is in units of the reference's robust
    spread. Rates are shares of the window's rows.
    """

    n: int
    effect: Effect
    ks: float | None = None
    w1: float | None = None
    psi: float
    psi_bias: float
    tvd: float | None = None
    mean: float | None = None
    null_rate: float
    unseen_rate: float
    out_of_range_rate: float


class Panel:
    """A reference laid out so that windows are compared with it column beside column.

    Parameters
    ----------
    reference
        What windows are compared with.
    design_effects
        Of each column's effect, float64 [columns].
    """

    def __init__(self, reference: Reference, design_effects: np.ndarray) -> None:
        numeric = np.array([cells.kind == "numeric" for cells in reference.columns])
        self._numbers = _Numbers(reference, np.flatnonzero(numeric), design_effects)
        self._levels = _Side(reference, np.flatnonzero(~numeric), design_effects)
        self._size = len(numeric)

    def describe(self, window: Sums) -> list[ColumnStatistics]:
        """Compare a window of at least one row with the reference, column by column in its order."""
        found: list[ColumnStatistics | None] = [None] * self._size
        for side in (self._numbers, self._levels):
            for place, statistics in zip(side.places.tolist(), side.describe(window), strict=True):
                found[place] = statistics
        return [statistics for statistics in found if statistics is not None]


class _Side:
    """Columns of one sort: their cells as rows of a matrix, filled up with cells that nothing falls into."""

    def __init__(self, reference: Reference, places: np.ndarray, design_effects: np.ndarray) -> None:
        columns = [reference.columns[place] for place in places]
        self.places = places
        self.design_effects = design_effects[places]
        self.last = np.array([cells.null for cells in columns], np.int64)
        self._empty = int(reference.offsets[-1])
        width = int(self.last.max(initial=0)) + 1
        first = reference.offsets[places][:, None]
        self._take = np.where(np.arange(width) <= self.last[:, None], first + np.arange(width), self._empty)
        self._null = self.last[:, None] == np.arange(width)
        self._unseen = self._marked([() if c.unseen is None else (c.unseen,) for c in columns], width)
        self._out_of_range = self._marked([c.out_of_range for c in columns], width)
        self.was = self.rows(reference.expected)
        self.reference_n = self.was.sum(axis=1)

    @staticmethod
    def _marked(cells: Sequence[Sequence[int]], width: int) -> np.ndarray:
        marked = np.zeros((len(cells), width), bool)
        for row, some in enumerate(cells):
            marked[row, list(some)] = True
        return marked

    def rows(self, flat: np.ndarray) -> np.ndarray:
        """Counts of these columns out of a flat count array, int64 [columns, cells]."""
        found: np.ndarray = np.append(flat, 0)[self._take]
        return found

    def describe(self, window: Sums) -> list[ColumnStatistics]:
        """Compare a window with the reference; see `Panel.describe`."""
        if not len(self.places):
            return []
        now = self.rows(window.cells)
        n = now.sum(axis=1)
        psi, occupied = _psi(self.was, now)
        common = {
            "n": n,
            "psi": psi,
            "psi_bias": (occupied - 1) * (1 / n + 1 / self.reference_n),
            "null_rate": (now * self._null).sum(axis=1) / n,
            "unseen_rate": (now * self._unseen).sum(axis=1) / n,
            "out_of_range_rate": (now * self._out_of_range).sum(axis=1) / n,
        }
        return _structs(common | self._own(window, now))

    def _own(self, window: Sums, now: np.ndarray) -> dict[str, Any]:  # noqa: ARG002
        found = tvd_effects(self.was, now, self.design_effects)
        return {"effect": found.rows(), "tvd": found.raw}


class _Numbers(_Side):
    """The numeric columns."""

    def __init__(self, reference: Reference, places: np.ndarray, design_effects: np.ndarray) -> None:
        super().__init__(reference, places, design_effects)
        columns = [reference.columns[place] for place in places]
        width = max((len(cells.edges) for cells in columns), default=0) + 1
        self._edges = np.array([[*cells.edges, *[np.inf] * (width - len(cells.edges))] for cells in columns])
        self._inside = (np.arange(self.was.shape[1]) > 0) & (np.arange(self.was.shape[1]) < self.last[:, None] - 1)
        self._spread, self._centre = reference.spread[places], reference.centre[places]
        self._step = reference.scale[places] / FIXED_ONE
        self._extremes = reference.extremes[places].astype(np.float64)

    def _finite(self, counts: np.ndarray) -> np.ndarray:
        """Counts of the intervals of the real line: neither infinities nor null, [columns, edges + 1]."""
        return np.where(self._inside, counts, 0)[:, 1 : self._edges.shape[1] + 2]

    @cached_property
    def _known(self) -> tuple[np.ndarray, Polygons]:
        """Which columns' references hold a finite value, and their distribution functions."""
        counts = self._finite(self.was)
        held = counts.sum(axis=1) > 0
        return held, polygons(self._edges[held], counts[held], self._extremes[held])

    def _own(self, window: Sums, now: np.ndarray) -> dict[str, Any]:
        found = ks_effects(self.was, now, self.last, self.design_effects)
        counts = self._finite(now)
        n = counts.sum(axis=1)
        mean = self._centre + window.moments[self.places, 0] / np.maximum(n, 1) * self._step
        return {
            "effect": found.rows(),
            "ks": found.raw,
            "w1": self._w1(counts, window.extremes[self.places].astype(np.float64)),
            "mean": [value if rows else None for value, rows in zip(mean.tolist(), n.tolist(), strict=True)],
        }

    def _w1(self, counts: np.ndarray, extremes: np.ndarray) -> list[float | None]:
        held, was = self._known
        filled = counts.sum(axis=1) > 0
        both = held & filled
        found: list[float | None] = [None] * len(both)
        now = polygons(self._edges[both], counts[both], extremes[both])
        kept = Polygons(*(part[filled[held]] for part in was))
        for place, area in zip(np.flatnonzero(both), areas(kept, now) / self._spread[both], strict=True):
            found[place] = float(area)
        return found


def _psi(was: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stability index over the cells that hold a row on either side, and how many they are, [columns]."""
    occupied = was + now > 0
    smoothed = [np.where(occupied, counts + 0.5, 0.0) for counts in (was, now)]
    p, q = (counts / counts.sum(axis=1, keepdims=True) for counts in smoothed)
    ratio = np.log(np.where(occupied, q, 1.0)) - np.log(np.where(occupied, p, 1.0))
    return ((q - p) * ratio).sum(axis=1), occupied.sum(axis=1)


def _structs(columns: dict[str, Any]) -> list[ColumnStatistics]:
    lists = [part.tolist() if isinstance(part, np.ndarray) else part for part in columns.values()]
    return [ColumnStatistics(**dict(zip(columns, row, strict=True))) for row in zip(*lists, strict=True)]
