"""The detector of one stream of windows: pool, running sums, and the starts that it keeps.

A column's pool is the reference and every window since, this one's predecessors all, for only then are the z of
different windows independent. (Holding suspicious windows back would make later z share the pool's error.) Once a
column is named as changed it begins anew: its pool is what came since its own change point, and the question becomes
"has it changed since its last change?".
"""

from typing import NamedTuple

import msgspec
import numpy as np
from scipy.special import logsumexp

from drift.evidence.contrasts import Contrasts
from drift.evidence.mixture import ROWS_NOMINAL, log_evidence
from drift.evidence.z_scores import surprise

#: Starts that are all kept; at larger lags one in 2, one in 4...
RECENT = 8
#: The change point lies between its ends with this share of the evidence outside on each side.
OUTSIDE = 0.025


class ChangePoint(NamedTuple):
    """Start with the largest evidence, and an interval of starts that holds 95 % of it: positions among those kept."""

    at: int
    low: int
    high: int


class Look(NamedTuple):
    """Logs of e-values after a window: of each column for a change at each kept start [starts, columns]; summed over
    starts [columns].
    """

    by_start: np.ndarray
    by_column: np.ndarray


class Detector(msgspec.Struct, kw_only=True, eq=False):
    """All that the evidence of one stream of windows remembers.

    Parameters
    ----------
    windows
        Windows taken so far.
    pool, counts
        int64 [cells]: what each column is compared with; all windows taken.
    sums, mass
        Running sums of ``a z`` [contrasts] and of ``a^2``.
    starts, starts_ms
        Kept starts, [starts]: window number and event time of its start.
    sums_before, mass_before, counts_before
        ``sums``, ``mass`` and ``counts`` just before each kept start, [starts, ...].
    restarted_at
        First window number that counts for each column since it began anew, int64 [columns].
    """

    windows: int = 0
    pool: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    mass: float = 0.0
    starts: np.ndarray
    starts_ms: np.ndarray
    sums_before: np.ndarray
    mass_before: np.ndarray
    counts_before: np.ndarray
    restarted_at: np.ndarray = msgspec.field(name="anew")

    @classmethod
    def over(cls, contrasts: Contrasts, reference: np.ndarray) -> "Detector":
        """Begin with a reference's counts as the pool."""
        return cls(
            pool=reference.astype(np.int64),
            counts=np.zeros_like(reference, np.int64),
            sums=np.zeros(len(contrasts)),
            starts=np.zeros(0, np.int64),
            starts_ms=np.zeros(0, np.int64),
            sums_before=np.zeros((0, len(contrasts))),
            mass_before=np.zeros(0),
            counts_before=np.zeros((0, len(reference)), np.int64),
            restarted_at=np.zeros(len(contrasts.span) - 1, np.int64),
        )

    def observe(self, contrasts: Contrasts, spread: np.ndarray, window: np.ndarray, rows: int, start_ms: int) -> Look:
        """Take a final window.

        Parameters
        ----------
        contrasts
            The contrasts.
        spread
            Root of each contrast's design effect, [contrasts].
        window, rows, start_ms
            Its counts, int64 [cells], its rows, and the event time of its start.
        """
        self._begin(start_ms)
        z = surprise(contrasts, self.pool, window, start_ms) / spread
        # Larger windows say more; 200 rows count one.
        size = rows / ROWS_NOMINAL
        self.sums = self.sums + np.sqrt(size) * z
        self.mass += size
        self.pool = self.pool + window
        self.counts = self.counts + window
        self.windows += 1
        return self.look(contrasts)

    def rescale(self, ratio: np.ndarray) -> None:
        """Multiply every z so far, as if spreads had been others from the first window on, float64 [contrasts]."""
        self.sums = self.sums * ratio
        self.sums_before = self.sums_before * ratio

    def _begin(self, start_ms: int) -> None:
        """Keep the coming window as a start, and of the older ones those that the lag allows.

        The rule looks at numbers alone, never at evidence: leaving starts out then leaves the promise as it is.
        """
        starts = np.append(self.starts, self.windows)
        lag = np.maximum(self.windows - starts, RECENT)
        kept = starts % 2 ** np.ceil(np.log2(lag / RECENT)).astype(np.int64) == 0
        self.starts = starts[kept]
        self.starts_ms = np.append(self.starts_ms, start_ms)[kept]
        self.mass_before = np.append(self.mass_before, self.mass)[kept]
        self.sums_before = _append(self.sums_before, kept[:-1], self.sums)
        self.counts_before = _append(self.counts_before, kept[:-1], self.counts)

    def look(self, contrasts: Contrasts) -> Look:
        """The evidence as it stands."""
        by_start = log_evidence(
            self.sums,
            self.mass,
            self.sums_before,
            self.mass_before,
            np.log(contrasts.weight),
            contrasts.span,
            np.searchsorted(self.starts, self.restarted_at),
        )
        with np.errstate(divide="ignore"):
            return Look(by_start, logsumexp(by_start, axis=0))

    def change_point(self, look: Look, column: int) -> ChangePoint:
        """Where a column changed; each kept start stands for those dropped after it, too."""
        gaps = np.diff(np.append(self.starts, self.windows))
        weight = gaps * np.exp(look.by_start[:, column] - look.by_start[:, column].max())
        below = np.cumsum(weight) / weight.sum()
        at = int(look.by_start[:, column].argmax())
        low, high = np.searchsorted(below, (OUTSIDE, 1 - OUTSIDE))
        return ChangePoint(at, min(int(low), at), max(int(high), at))

    def restart(self, column: int, cells: slice, start: int) -> None:
        """Let a column's pool be what came since a kept start, and its evidence begin with the next window.

        Parameters
        ----------
        column
            Position of the column.
        cells
            The column's cells in the flat counts.
        start
            Position of the kept start.
        """
        self.pool[cells] = self.counts[cells] - self.counts_before[start, cells]
        self.restarted_at[column] = self.windows


def _append(rows: np.ndarray, kept: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The kept rows and one more, in one copy: they are megabytes."""
    longer = np.empty((int(kept.sum()) + 1, rows.shape[1]), rows.dtype)
    np.compress(kept, rows, axis=0, out=longer[:-1])
    longer[-1] = last
    return longer
