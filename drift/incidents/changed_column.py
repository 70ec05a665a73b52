"""A column that an incident names: since when, how far, and whether it has come back."""

from collections.abc import Iterator

import msgspec
import numpy as np

from drift.cells.cells import Cells
from drift.incidents.closed_window import Scene
from drift.reference.tolerances import tolerance
from drift.statistics import Effect
from drift.statistics.effect import Z95
from streams.wire.records import MovedLevel

#: A move back towards the reference settles over so many rows before anything is said about it.
SETTLE_ROWS = 3_000
#: Whether a column is back is judged on pools of at least so many windows and rows, and so often in a row.
POOL_WINDOWS, POOL_ROWS, POOLS_QUIET = 3, 3_000, 3
#: A return is told when the effect has shrunk to this part of the one told before.
NEARER = 2 / 3
#: A column is broken once such a share of its rows is null, unseen, or infinite.
BROKEN = 0.99


class Moved(msgspec.Struct, kw_only=True, eq=False):
    """What an incident remembers of a column.

    Parameters
    ----------
    column
        Its position in the reference.
    start
        Number of the window that its change began with.
    change_point, low, high
        The same as event time in ms, and an interval.
    base
        Counts of all windows before that one, int64 [cells of all columns].
    mixed
        Counts up to the next start that was kept, int64 [its cells]: the change lies before it.
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
    told, levels
        Its counts when it was told last, int64 [its cells], None before that; and the levels that had moved, as told
        when they were furthest.
    parts
        By which parts of it it was told last: names, and cells.
    """

    column: int
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
    told: np.ndarray | None = None
    levels: list[MovedLevel] = []
    parts: list[tuple[str, list[int]]] = []

    @property
    def since(self) -> int:
        """Event time of its first change, ms."""
        return self.change_point if self.began is None else self.began

    @classmethod
    def named(cls, scene: Scene, column: int) -> "Moved":
        """Name a column at its change point, and let its evidence begin anew."""
        detector, cells = scene.detector, scene.baseline.cells(column)
        point = detector.change_point(scene.look, column)
        base = detector.counts_before[point.at].copy()
        stretch = detector.counts[cells] - base[cells]
        moved = cls(
            column=column,
            start=int(detector.starts[point.at]),
            change_point=int(detector.starts_ms[point.at]),
            low=int(detector.starts_ms[point.low]),
            high=int(detector.starts_ms[point.high]),
            base=base,
            mixed=detector.counts_before[min(point.at + 1, len(detector.starts) - 1), cells].copy(),
            before=detector.pool[cells] - stretch,
            log_evidence=float(scene.weighted[column]),
            pooled=np.zeros_like(stretch),
        )
        detector.begin_anew(column, cells, point.at)
        return moved

    def anew(self, scene: Scene) -> "Moved":
        """Date its latest change: what it was compared with since it was named is left behind."""
        later = Moved.named(scene, self.column)
        later.again, later.log_evidence = True, max(self.log_evidence, later.log_evidence)
        later.began, later.told, later.levels, later.parts = self.since, self.told, self.levels, self.parts
        return later

    def remember(self, counts: np.ndarray, levels: list[MovedLevel], parts: list[tuple[str, list[int]]]) -> None:
        """Keep what has just been told of it; the levels, as they were at its furthest.

        Parameters
        ----------
        counts
            Rows in each of its cells, int64 [its cells].
        levels
            The levels that have moved, as they are told.
        parts
            The parts that it is told by: names, and cells.
        """
        self.told, self.parts = counts, parts
        change = max((abs(level.current - level.reference) for level in levels), default=0.0)
        if change >= max((abs(level.current - level.reference) for level in self.levels), default=0.0):
            self.levels = levels

    def forget(self) -> None:
        """Begin an incident of its own: what was told of it in another is of that one."""
        self.began, self.told, self.levels, self.parts = None, None, [], []

    def cross(self) -> None:
        """Date it by its latest change: what it had moved to before lies on the other side of the reference."""
        self.began, self.levels = None, []

    def stretch(self, scene: Scene) -> np.ndarray:
        """Counts since the change point, int64 [its cells]."""
        cells = scene.baseline.cells(self.column)
        found: np.ndarray = scene.detector.counts[cells] - self.base[cells]
        return found

    def present(self, scene: Scene) -> np.ndarray:
        """Counts once the change was surely over, int64 [its cells]; of the whole stretch where that was just now."""
        found: np.ndarray = scene.detector.counts[scene.baseline.cells(self.column)] - self.mixed
        return found if found.sum() < self.stretch(scene).sum() else self.stretch(scene)

    def effect(self, scene: Scene) -> Effect:
        """Effect since the change point, against the fixed reference."""
        return scene.baseline.effect(self.column, self.stretch(scene))

    def drifted(self, scene: Scene) -> bool:
        """Whether the effect, or the rate of a cell that should be empty, is above its tolerance as it stands."""
        if self.effect(scene).value > scene.tolerance(self.column):
            return True
        return any(now > limit for now, _, limit in self._rates(scene))

    def material(self, scene: Scene) -> bool:
        """Whether it is above its tolerance for certain, and no way back: then a person is told."""
        if self.returning(scene):
            return False
        if self.effect(scene).low > scene.tolerance(self.column):
            return True
        return any(low > limit for _, low, limit in self._rates(scene))

    def _rates(self, scene: Scene) -> Iterator[tuple[float, float, float]]:
        """Share, its lower bound, and the share that is too much, of the values that something is wrong with."""
        now, was = self.stretch(scene), scene.baseline.reference.expected[scene.baseline.cells(self.column)]
        rows = int(now.sum())
        for cells in faults(scene.baseline.reference.columns[self.column]).values():
            many = now[list(cells)].sum()
            share = (many + 1) / (rows + 2)
            reach = Z95 * np.sqrt(scene.baseline.design_effects[self.column] * share * (1 - share) / (rows + 2))
            limit = was[list(cells)].sum() / was.sum() + tolerance(scene.watch, "rate")
            yield float(many / rows), float(share - reach), float(limit)

    def broken(self, scene: Scene) -> str:
        """What every value now is, where hardly one was it: ``null``, ``unseen``; else empty."""
        was = scene.baseline.reference.expected[scene.baseline.cells(self.column)]
        return fault(scene.baseline.reference.columns[self.column], self.present(scene), was)

    def returning(self, scene: Scene) -> bool:
        """Whether the change led from somewhere else nearer to the reference."""
        before = scene.baseline.effect(self.column, self.before).value
        return before > scene.tolerance(self.column) / 2 and self.effect(scene).value < before

    def crossed(self, scene: Scene) -> bool:
        """Whether it lies on the other side of the reference than when it was told."""
        if self.told is None or not self.told.sum():
            return False
        reference = scene.baseline.reference.expected[scene.baseline.cells(self.column)]
        was, told, now = (self._direction(scene, counts) for counts in (reference, self.told, self.stretch(scene)))
        return bool((told - was) @ (now - was) < 0)

    def settled(self, scene: Scene) -> bool:
        """Whether enough rows have come since the change to speak of a return."""
        return int(self.stretch(scene).sum()) >= SETTLE_ROWS

    def back(self, scene: Scene) -> bool:
        """Whether what came since the change is like the reference."""
        return self.effect(scene).value < scene.tolerance(self.column) / 2

    def elsewhere(self, scene: Scene) -> bool:
        """Whether it is now materially far from its regime before, for certain."""
        moved = scene.baseline.effect(self.column, self.stretch(scene), self.before)
        return moved.low > scene.tolerance(self.column)

    def further(self, scene: Scene) -> bool:
        """Whether it has moved on, the way it had moved, by a tolerance since it was told; for certain."""
        if not self.same_way(scene):
            return False
        assert self.told is not None
        return scene.baseline.effect(self.column, self.stretch(scene), self.told).low > scene.tolerance(self.column)

    def same_way(self, scene: Scene) -> bool:
        """Whether it is further away in the direction in which it was when it was told."""
        if self.told is None or not self.told.sum():
            return False
        reference = scene.baseline.reference.expected[scene.baseline.cells(self.column)]
        was, told, now = (self._direction(scene, counts) for counts in (reference, self.told, self.stretch(scene)))
        return bool((told - was) @ (now - told) > 0)

    def nearer(self, scene: Scene) -> bool:
        """Whether a third of the way back lies behind it since it was told."""
        if not self.returning(scene):
            return False
        told = self.before if self.told is None else self.told
        return self.effect(scene).value <= NEARER * scene.baseline.effect(self.column, told).value

    def _direction(self, scene: Scene, counts: np.ndarray) -> np.ndarray:
        """Shares of a column's cells, summed up where they have an order."""
        shares: np.ndarray = counts / counts.sum()
        return np.cumsum(shares) if scene.baseline.reference.columns[self.column].kind == "numeric" else shares

    def rest(self, scene: Scene) -> bool:
        """Pool this window; whether pool after pool has been like the reference."""
        self.pooled = self.pooled + scene.window[scene.baseline.cells(self.column)]
        self.pool_windows += 1
        if self.pool_windows < POOL_WINDOWS or self.pooled.sum() < POOL_ROWS:
            return False
        quiet = scene.baseline.effect(self.column, self.pooled).value < scene.tolerance(self.column) / 2
        self.pools_quiet = self.pools_quiet + 1 if quiet else 0
        self.pooled, self.pool_windows = np.zeros_like(self.pooled), 0
        return self.pools_quiet >= POOLS_QUIET


def faults(cells: Cells) -> dict[str, tuple[int, ...]]:
    """Cells of values that something is wrong with, by what it is: null, unseen, infinite, out of range.

    >>> faults(Cells(name="age", edges=(18.0, 40.0), low=18.0))
    {'null': (5,), '-inf': (0,), '+inf': (4,), 'out-of-range': (1,)}
    """
    special = (cells.null, cells.unseen, cells.minus_inf, cells.plus_inf)
    found = {cells.labels[cell]: (cell,) for cell in special if cell is not None}
    outside = tuple(cell for cell in cells.out_of_range if cell not in special)
    return found | ({"out-of-range": outside} if outside else {})


def fault(cells: Cells, now: np.ndarray, was: np.ndarray) -> str:
    """What every value of a column now is, where hardly one was it: ``null``, ``unseen``, ``-inf``...; else empty.

    Parameters
    ----------
    now, was
        Rows in each cell now and in the reference, int64 [cells].

    >>> fault(Cells(name="vip", kind="boolean", levels=("false", "true")), np.array([0, 1, 499]), np.array([90, 8, 2]))
    'null'
    """
    for what, places in faults(cells).items():
        gone, before = now[list(places)].sum() / max(1, now.sum()), was[list(places)].sum() / max(1, was.sum())
        if gone >= BROKEN and before < BROKEN / 2:
            return what
    return ""
