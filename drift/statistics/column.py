"""All the numbers of one column in one window."""

import msgspec
import numpy as np

from drift.cells import Cells
from drift.reference import Reference
from drift.statistics.effect import Effect, effect
from drift.statistics.moments import mean_sd
from drift.statistics.psi import psi, psi_bias
from drift.statistics.shares import occupied
from drift.statistics.wasserstein import wasserstein
from drift.sums import Sums


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


def describe(reference: Reference, place: int, window: Sums, design_effect: float = 1.0) -> ColumnStatistics:
    """Compare one column of a window with its reference.

    Parameters
    ----------
    place
        Position of the column in ``reference.columns``.
    window
        The window's sums; of at least one row.
    """
    cells = reference.columns[place]
    span = slice(reference.offsets[place], reference.offsets[place + 1])
    was, now = reference.counts[span], window.cells[span]
    n, reference_n = int(now.sum()), int(was.sum())
    size = effect(cells.kind, was, now, design_effect)
    seen = occupied(was, now)
    numeric = cells.kind == "numeric"
    return ColumnStatistics(
        n=n,
        effect=size,
        ks=size.raw if numeric else None,
        w1=_w1(reference, place, was, now, window) if numeric else None,
        psi=psi(was[seen], now[seen]),
        psi_bias=psi_bias(int(seen.sum()), n, reference_n),
        tvd=None if numeric else size.raw,
        mean=_mean(reference, place, now, window) if numeric else None,
        null_rate=float(now[cells.null] / n),
        unseen_rate=0.0 if cells.unseen is None else float(now[cells.unseen] / n),
        out_of_range_rate=float(now[list(cells.out_of_range)].sum() / n),
    )


def finite(cells: Cells, counts: np.ndarray) -> np.ndarray:
    """Counts of a numeric column's intervals: neither infinities nor null."""
    return counts[1 : cells.null - 1]


def _w1(reference: Reference, place: int, was: np.ndarray, now: np.ndarray, window: Sums) -> float | None:
    cells = reference.columns[place]
    was, now = finite(cells, was), finite(cells, now)
    if not was.sum() or not now.sum():
        return None
    ends = reference.extremes[place], window.extremes[place]
    return wasserstein(cells.edges, was, now, *ends) / float(reference.spread[place])


def _mean(reference: Reference, place: int, now: np.ndarray, window: Sums) -> float | None:
    n = int(finite(reference.columns[place], now).sum())
    if not n:
        return None
    return mean_sd(window.moments[place], n, float(reference.centre[place]), float(reference.scale[place]))[0]
