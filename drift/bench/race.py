"""The race: every contestant over the same seeded streams, first without drift, then with each shift."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec
import numpy as np

from drift.bench.contestants import CALIBRATED, CONTESTANTS, alarms, peer
from drift.bench.peers import threshold
from drift.bench.population import Population
from drift.bench.shifts import DEFAULT, Shift, shifts
from drift.bench.streams import AFTER_MAX, BEFORE, Change, Ground

#: Told of what is under way: how many streams are done, and how many there are.
Told = Callable[[str, int, int], None]

_CALIBRATING, _QUIET = 0, 1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is run.

    Parameters
    ----------
    rows_per_window, windows, runs
        Rows of a window; windows of a stream without drift; streams of each kind.
    false_alarm_every
        The budget: windows between false alarms that every contestant is told of.
    shifts, column, gradual
        Shifts as `drift.bench.shifts` spells them; the column that they are made in, by default each that can be, in
        turns; windows over which they grow, 0 for sudden ones.
    seed
        Decides all that is drawn.
    """

    rows_per_window: int = 200
    windows: int = 150
    runs: int = 20
    false_alarm_every: float = 1_000.0
    shifts: tuple[str, ...] = DEFAULT
    column: str | None = None
    gradual: int = 0
    seed: int = 1


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """False alarms of a contestant: streams that it raised one in, windows that it watched until then, and the exact
    95 % interval of the rate a window.
    """

    contestant: str
    threshold: float | None
    alarms: int
    windows: int
    low: float
    high: float

    def keeps(self, every: float) -> bool:
        """Whether the rate may be what was promised."""
        return self.low <= 1 / every


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Windows from a change to a contestant's alarm, that one included; None for more than were run.

    ``low`` and ``high`` are the tenth and the ninetieth percentile; ``early`` streams had an alarm before the change, and
    are left out.
    """

    shift: str
    contestant: str
    columns: int
    median: float | None
    low: float | None
    high: float | None
    found: int
    streams: int
    early: int


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What came out: the user's rows, the plan, false alarms and delays, and seconds that it took."""

    rows: int
    columns: int
    block_rows: int
    reference_rows: int
    plan: Plan
    quiet: list[Quiet]
    delays: list[Delay]
    seconds: float


class Race:
    """All runs of a plan over the user's rows.

    Parameters
    ----------
    population
        The rows.
    plan
        What is run.
    told
        Hears of progress.

    Raises
    ------
    ShiftError
        A shift cannot be made.
    """

    def __init__(self, population: Population, plan: Plan, told: Told = lambda what, done, of: None) -> None:
        self._population = population
        self._plan = plan
        self._told = told
        self._shifts = shifts(plan.shifts, population, plan.column)
        # A reference takes longer to fit than its stream to judge: each run has one for all its streams.
        self._ground = lru_cache(maxsize=plan.runs)(self._draw)

    def run(self) -> Bench:
        """Run everything."""
        began = time.perf_counter()
        thresholds = self.calibrate()
        quiet = self.quiet(thresholds)
        delays = [row for shift, columns in self._shifts for row in self.delays(shift, columns, thresholds)]
        reference = self._ground(_QUIET, 0).reference
        return Bench(
            rows=self._population.table.num_rows,
            columns=len(reference.columns),
            block_rows=self._population.block_rows,
            reference_rows=reference.rows,
            plan=self._plan,
            quiet=quiet,
            delays=delays,
            seconds=round(time.perf_counter() - began, 1),
        )

    def calibrate(self) -> dict[str, float]:
        """Find the thresholds that streams without drift, of references of their own, pass as often as promised."""
        plan = self._plan
        paths: dict[str, list[list[float]]] = {name: [] for name in CALIBRATED}
        for run in self._runs("calibrating"):
            ground = self._ground(_CALIBRATING, run)
            windows = ground.windows(plan.rows_per_window, plan.windows, self._rng(_CALIBRATING, run, 1))
            for name, path in paths.items():
                begun = peer(name, ground, plan.rows_per_window, plan.false_alarm_every, {})
                path.append([begun.take(window) for window in windows])
        return {name: threshold(np.array(path), plan.false_alarm_every) for name, path in paths.items()}

    def quiet(self, thresholds: Mapping[str, float]) -> list[Quiet]:
        """Count false alarms."""
        first = self._first("no drift", None, self._plan.windows, thresholds)
        return [_quiet(name, thresholds.get(name), at, self._plan.windows) for name, at in first.items()]

    def delays(self, shift: Shift, columns: Sequence[str], thresholds: Mapping[str, float]) -> list[Delay]:
        """Measure delays to a shift in each of the columns in turns."""
        changes = [Change(shift, column) for column in columns]
        first = self._first(shift.name, changes, BEFORE + AFTER_MAX + self._plan.gradual, thresholds)
        return [_delay(shift.name, name, min(len(columns), self._plan.runs), at) for name, at in first.items()]

    def _first(
        self, what: str, changes: Sequence[Change] | None, number: int, thresholds: Mapping[str, float]
    ) -> dict[str, list[int | None]]:
        """Window of the first alarm in each stream, by contestant."""
        plan = self._plan
        found: dict[str, list[int | None]] = {name: [] for name in CONTESTANTS}
        for run in self._runs(what):
            ground = self._ground(_QUIET, run)
            change = None if changes is None else changes[run % len(changes)]
            # All shifts are made in the same rows: their delays are comparable pair by pair.
            rng = self._rng(_QUIET, run, 1 if change is None else 2)
            windows = ground.windows(plan.rows_per_window, number, rng, change, plan.gradual)
            for name, at in alarms(ground, windows, plan.false_alarm_every, thresholds):
                found[name].append(at)
        return found

    def _draw(self, what: int, run: int) -> Ground:
        return Ground.draw(self._population, self._rng(what, run, 0))

    def _rng(self, *place: int) -> np.random.Generator:
        return np.random.default_rng([self._plan.seed, *place])

    def _runs(self, what: str) -> Iterator[int]:
        for run in range(self._plan.runs):
            self._told(what, run, self._plan.runs)
            yield run
        self._told(what, self._plan.runs, self._plan.runs)


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Exact 95 % interval of a rate (Clopper and Pearson, 1934).

    >>> interval(0, 100)[0], round(interval(0, 100)[1], 4)
    (0.0, 0.0362)
    """
    from scipy.stats import beta

    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0


def _quiet(name: str, level: float | None, first: Sequence[int | None], each: int) -> Quiet:
    count = sum(at is not None for at in first)
    watched = sum(each if at is None else at + 1 for at in first)
    low, high = interval(count, watched)
    return Quiet(contestant=name, threshold=level, alarms=count, windows=watched, low=low, high=high)


def _delay(shift: str, name: str, columns: int, first: Sequence[int | None]) -> Delay:
    fair = [at for at in first if at is None or at >= BEFORE]
    took = sorted(math.inf if at is None else float(at - BEFORE + 1) for at in fair)
    low, middle, high = (_percentile(took, q) for q in (0.1, 0.5, 0.9))
    return Delay(
        shift=shift,
        contestant=name,
        columns=columns,
        median=middle,
        low=low,
        high=high,
        found=sum(math.isfinite(one) for one in took),
        streams=len(fair),
        early=len(first) - len(fair),
    )


def _percentile(ascending: Sequence[float], q: float) -> float | None:
    """Lower percentile, None where it is infinite or there is none.

    >>> _percentile([1.0, 4.0, math.inf], 0.5)
    4.0
    """
    if not ascending:
        return None
    found = ascending[max(0, math.ceil(q * len(ascending)) - 1)]
    return found if math.isfinite(found) else None
