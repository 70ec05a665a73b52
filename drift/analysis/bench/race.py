"""The race: every contestant over the same seeded streams, first without drift, then with each shift."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from drift.analysis.bench.contestants import CALIBRATED, CONTESTANTS, alarms, peer
from drift.analysis.bench.peers import threshold
from drift.analysis.bench.population import Population
from drift.analysis.bench.result import Bench, Delay, Plan, Quiet
from drift.analysis.bench.shifts import Shift, shifts
from drift.analysis.bench.streams import AFTER_MAX, BEFORE, Change, Ground

#: Told of what is under way: how many streams are done, and how many there are.
Told = Callable[[str, int, int], None]

_CALIBRATING, _QUIET = 0, 1


class Race:
    """All runs of a plan over the user's rows.

    Parameters
    ----------
    population
        The rows.
    plan
        What is run.
    on_progress
        Hears of progress.
    settled
        Is handed the false alarms as soon as they are counted.

    Raises
    ------
    ShiftError
        A shift cannot be made.
    """

    def __init__(
        self,
        population: Population,
        plan: Plan,
        on_progress: Told = lambda what, done, of: None,
        settled: Callable[[list[Quiet]], None] = lambda quiet: None,
    ) -> None:
        self._population = population
        self._plan = plan
        self._on_progress = on_progress
        self._settled = settled
        self._shifts = shifts(plan.shifts, population, plan.column)
        # A reference takes longer to fit than its stream to judge: each run has one for all its streams.
        self._ground = lru_cache(maxsize=plan.runs)(self._draw)

    def run(self) -> Bench:
        """Run everything."""
        began = time.perf_counter()
        thresholds = self.calibrate()
        quiet = self.quiet(thresholds)
        self._settled(quiet)
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
                detector = peer(name, ground, plan.rows_per_window, plan.false_alarm_every, {})
                path.append([detector.observe(window) for window in windows])
        return {name: threshold(np.array(path), plan.false_alarm_every) for name, path in paths.items()}

    def quiet(self, thresholds: Mapping[str, float]) -> list[Quiet]:
        """Count false alarms."""
        first = self._first("no drift", None, self._plan.windows, thresholds)
        return [Quiet.of(name, thresholds.get(name), at, self._plan.windows) for name, at in first.items()]

    def delays(self, shift: Shift, columns: Sequence[str], thresholds: Mapping[str, float]) -> list[Delay]:
        """Measure delays to a shift in each of the columns in turns.

        Parameters
        ----------
        columns
            Names of columns in which the shift can be made.
        thresholds
            Of the contestants that are calibrated, by name.
        """
        changes = [Change(shift, column) for column in columns]
        first = self._first(shift.name, changes, BEFORE + AFTER_MAX + self._plan.gradual, thresholds)
        return [Delay.of(shift.name, name, min(len(columns), self._plan.runs), at) for name, at in first.items()]

    def _first(
        self, what: str, changes: Sequence[Change] | None, number: int, thresholds: Mapping[str, float]
    ) -> dict[str, list[int | None]]:
        """Window of the first alarm in each stream, by contestant."""
        plan = self._plan
        first_alarms: dict[str, list[int | None]] = {name: [] for name in CONTESTANTS}
        for run in self._runs(what):
            ground = self._ground(_QUIET, run)
            change = None if changes is None else changes[run % len(changes)]
            # All shifts are made in the same rows: their delays are comparable pair by pair.
            rng = self._rng(_QUIET, run, 1 if change is None else 2)
            windows = ground.windows(plan.rows_per_window, number, rng, change, plan.gradual)
            for name, at in alarms(ground, windows, plan.false_alarm_every, thresholds):
                first_alarms[name].append(at)
        return first_alarms

    def _draw(self, what: int, run: int) -> Ground:
        return Ground.draw(self._population, self._rng(what, run, 0))

    def _rng(self, *seeds: int) -> np.random.Generator:
        return np.random.default_rng([self._plan.seed, *seeds])

    def _runs(self, what: str) -> Iterator[int]:
        for run in range(self._plan.runs):
            self._on_progress(what, run, self._plan.runs)
            yield run
        self._on_progress(what, self._plan.runs, self._plan.runs)
