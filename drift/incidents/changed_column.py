"""A column that an incident names: since when, how far, and whether it has come back."""

from collections.abc import Iterator

import msgspec
import numpy as np

from drift.incidents.closed_window import EvidenceWindow
from drift.incidents.column_faults import fault, faults
from drift.reference.tolerances import tolerance
from drift.statistics import Effect
from drift.statistics.effect import Z95
from streams.wire.records import MovedLevel

#: A move back towards the reference settles over so many rows before anything is said about it.
SETTLED_ROWS = 3_000
#: Whether a column is back is judged on pools of at least so many windows and rows, and so often in a row.
POOL_WINDOWS, POOL_ROWS, POOLS_QUIET = 3, 3_000, 3


class ChangedColumn(msgspec.Struct, kw_only=True, eq=False):
    """What an incident remembers of a column.

    Parameters
    ----------
    index
        Its position in the reference.
    start
        Number of the window that its change began with.
    change_point, low, high
        The same as event time in ms, and an interval.
    base
        Counts of all windows before that one, int64 [cells of all columns].
    mixed
        Counts up to the next start that was kept, int64 [its cells]: the change lies before it. Up to the end of the
        window in which the change was found, where it began with that one.
    before
        Counts of what it was compared with: its regime before the change, int64 [its cells].
    log_evidence
        When it was named.
    again
        It has changed again since, and what that means is not settled.
    pooled, pool_windows, pools_quiet
        Its rows since the last pool was judged, int64 [its cells]; the windows in them; pools in a row that were back.
    began
        Event time of its first change, ms, where it has changed again since; else None.
    reported, levels
        Its counts when it was told last, int64 [its cells], None before that; and the levels that had moved, as told
        when they were furthest.
    parts
        By which parts of it it was told last: names, and cells.
    of_first_window
        What was told last are the counts of the window that the change began in, rows of before and after it; and
        where it has changed again since, it did so with the next window.
    """

    index: int = msgspec.field(name="column")
    start: int
    change_point: int
    low: int
    high: int
    base: np.ndarray
    mixed: np.ndarray
    before: np.ndarray
    log_evidence: float
    again: bool = False
    pooled: np.ndarray
    pool_windows: int = 0
    pools_quiet: int = 0
    began: int | None = None
    reported: np.ndarray | None = msgspec.field(default=None, name="told")
    levels: list[MovedLevel] = []
    parts: list[tuple[str, list[int]]] = []
    of_first_window: bool = False

    @property
    def since(self) -> int:
        """Event time of its first change, ms."""
        return self.change_point if self.began is None else self.began

    @classmethod
    def named(cls, window: EvidenceWindow, column: int) -> "ChangedColumn":
        """Name a column at its change point, and let its evidence begin anew."""
        detector, cells = window.detector, window.baseline.cells(column)
        point = detector.change_point(window.look, column)
        base = detector.counts_before[point.at].copy()
        stretch = detector.counts[cells] - base[cells]
        later = point.at + 1
        changed = cls(
            index=column,
            start=int(detector.starts[point.at]),
            change_point=int(detector.starts_ms[point.at]),
            low=int(detector.starts_ms[point.low]),
            high=int(detector.starts_ms[point.high]),
            base=base,
            mixed=(detector.counts_before[later] if later < len(detector.starts) else detector.counts)[cells].copy(),
            before=detector.pool[cells] - stretch,
            log_evidence=float(window.weighted[column]),
            pooled=np.zeros_like(stretch),
        )
        detector.restart(column, cells, point.at)
        return changed

    def redated(self, window: EvidenceWindow) -> "ChangedColumn":
        """Date its latest change: what it was compared with since it was named is left behind."""
        later = ChangedColumn.named(window, self.index)
        later.again, later.log_evidence = True, max(self.log_evidence, later.log_evidence)
        later.began, later.reported, later.levels, later.parts = self.since, self.reported, self.levels, self.parts
        later.of_first_window = self.of_first_window and later.start == self.start + 1
        return later

    def remember(self, window: EvidenceWindow, levels: list[MovedLevel], parts: list[tuple[str, list[int]]]) -> None:
        """Keep what has just been told of it; the levels, as they were at its furthest.

        Parameters
        ----------
        window
            The window in which it was told.
        levels
            The levels that have moved, as they are told.
        parts
            The parts that it is told by: names, and cells.
        """
        self.reported, self.parts = self.present(window), parts
        self.of_first_window = self.began is None and not self._clean(window).any()
        change = max((abs(level.current - level.reference) for level in levels), default=0.0)
        if change >= max((abs(level.current - level.reference) for level in self.levels), default=0.0):
            self.levels = levels

    def may_be_sized_up(self, window: EvidenceWindow) -> bool:
        """Whether it was told of the window that its change began in, and that window is over by now."""
        return self.of_first_window and not self.again and bool(self._clean(window).any())

    def forget(self) -> None:
        """Begin an incident of its own: what was told of it in another is of that one."""
        self.began, self.reported, self.levels, self.parts, self.of_first_window = None, None, [], [], False

    def cross(self) -> None:
        """Date it by its latest change: what it had moved to before lies on the other side of the reference."""
        self.began, self.levels = None, []

    def stretch(self, window: EvidenceWindow) -> np.ndarray:
        """Counts since the change point, int64 [its cells]."""
        cells = window.baseline.cells(self.index)
        counts: np.ndarray = window.detector.counts[cells] - self.base[cells]
        return counts

    def present(self, window: EvidenceWindow) -> np.ndarray:
        """Counts once the change was surely over, int64 [its cells]; of the whole stretch where that was just now."""
        clean = self._clean(window)
        return clean if clean.any() else self.stretch(window)

    def _clean(self, window: EvidenceWindow) -> np.ndarray:
        """Counts since the window that the change began in, int64 [its cells]."""
        counts: np.ndarray = window.detector.counts[window.baseline.cells(self.index)] - self.mixed
        return counts

    def effect(self, window: EvidenceWindow) -> Effect:
        """Effect since the change point, against the fixed reference."""
        return window.baseline.effect(self.index, self.stretch(window))

    def drifted(self, window: EvidenceWindow) -> bool:
        """Whether the effect, or the rate of a cell that should be empty, is above its tolerance as it stands."""
        if self.effect(window).value > window.tolerance(self.index):
            return True
        return any(now > limit for now, _, limit in self._rates(window))

    def unsettled(self, window: EvidenceWindow) -> bool:
        """Whether it has changed again since it was told, and is nearer to the reference than before as far as one can
        see.
        """
        if not (self.again and self.levels):
            return False
        before = window.baseline.effect(self.index, self.before).value
        return not self.drifted(window) or self.effect(window).value < before / 2

    def above_tolerance(self, window: EvidenceWindow) -> bool:
        """Whether it is above its tolerance for certain."""
        if self.effect(window).low > window.tolerance(self.index):
            return True
        return any(low > limit for _, low, limit in self._rates(window))

    def _rates(self, window: EvidenceWindow) -> Iterator[tuple[float, float, float]]:
        """Share, its lower bound, and the share that is too much, of the values that something is wrong with."""
        now, was = self.stretch(window), window.baseline.reference.expected[window.baseline.cells(self.index)]
        rows = int(now.sum())
        for cells in faults(window.baseline.reference.columns[self.index]).values():
            count = now[list(cells)].sum()
            share = (count + 1) / (rows + 2)
            reach = Z95 * np.sqrt(window.baseline.design_effects[self.index] * share * (1 - share) / (rows + 2))
            limit = was[list(cells)].sum() / was.sum() + tolerance(window.watch, "rate")
            yield float(count / rows), float(share - reach), float(limit)

    def broken(self, window: EvidenceWindow) -> str:
        """What every value now is, where hardly one was it: ``null``, ``unseen``; else empty."""
        was = window.baseline.reference.expected[window.baseline.cells(self.index)]
        return fault(window.baseline.reference.columns[self.index], self.present(window), was)

    def rest(self, window: EvidenceWindow) -> bool:
        """Pool this window; whether pool after pool has been like the reference."""
        self.pooled = self.pooled + window.counts[window.baseline.cells(self.index)]
        self.pool_windows += 1
        if self.pool_windows < POOL_WINDOWS or self.pooled.sum() < POOL_ROWS:
            return False
        quiet = window.baseline.effect(self.index, self.pooled).value < window.tolerance(self.index) / 2
        self.pools_quiet = self.pools_quiet + 1 if quiet else 0
        self.pooled, self.pool_windows = np.zeros_like(self.pooled), 0
        return self.pools_quiet >= POOLS_QUIET
