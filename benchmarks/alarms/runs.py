"""Runs: seeded streams through the engine, and what may be said of all of them."""

import math
import statistics
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
from scipy import stats

from benchmarks.alarms.worlds import Change, World
from drift.analysis.bench.ours import Ours
from drift.reference.baseline import Baseline
from streams.wire.records import Watch

#: Windows before a change, and after it at the most.
BEFORE, AFTER_MAX = 20, 200


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """What streams without any change set off: first incidents, pages, windows until then, and the rate's exact 95 %
    interval (Clopper and Pearson) beside the promise.
    """

    world: str
    features: int
    false_alarm_every: float
    seed: int
    runs: int
    windows_each: int
    incidents: int
    pages: int
    windows: int
    rate_low: float
    rate_high: float
    highest_evidence: float | None = None


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Windows from a change to the incident that it opened, the window that opened it included."""

    world: str
    features: int
    false_alarm_every: float
    seed: int
    change: str
    runs: int
    median: float | None
    low: float | None
    high: float | None
    found: int
    named: int
    early: int
    goal: float | None = None


class Ran(NamedTuple):
    """One stream: windows at which it opened and paged, highest log evidence, whether the changed column was named."""

    opened: int | None
    paged: int | None
    highest: float
    named: bool


def once(
    world: World, seed: int, run: int, every: float, windows: int, after: int = 0, change: Change | None = None
) -> Ran:
    """Run one stream; with a change, until an incident opens."""
    baseline, for_stream = _baseline(world, seed, run), _generators(seed, run)[1]
    ours = Ours(baseline, Watch(false_alarm_every=every, window_rows_min=1))
    column, highest = world.column(run), -math.inf
    for window in world.windows(baseline.reference, for_stream, windows, after, column, change):
        opened = ours.observe(window)
        highest = max(highest, ours.log_evidence)
        if opened and change is not None:
            break
    return Ran(ours.opened, ours.paged, highest, f"x{column}" in ours.named)


@lru_cache(maxsize=40)
def _baseline(world: World, seed: int, run: int) -> Baseline:
    return Baseline(world.reference(_generators(seed, run)[0]))


def _generators(seed: int, run: int) -> list[np.random.Generator]:
    """Of a run's reference, and of its stream."""
    return np.random.default_rng([seed, run]).spawn(2)


def quiet(world: World, seed: int, runs: int, windows: int, every: tuple[float, ...]) -> list[Quiet]:
    """Run streams without a change at the largest budget; a smaller one is run again only where it was reached."""
    most = max(every)
    ran = [once(world, seed, run, most, windows) for run in range(runs)]
    found = []
    for budget in every:
        again = budget < most
        these = [
            once(world, seed, k, budget, windows) if again and r.highest >= math.log(budget) else r
            for k, r in enumerate(ran)
        ]
        opened, pages = [r.opened for r in these], sum(r.paged is not None for r in these)
        highest = math.exp(max(r.highest for r in ran))
        found.append(summed(world.name, world.features, budget, seed, windows, opened, pages, highest))
    return found


def summed(
    world: str,
    features: int,
    every: float,
    seed: int,
    windows: int,
    opened: list[int | None],
    pages: int,
    highest: float | None = None,
) -> Quiet:
    """Sum up streams of so many windows by the window that opened their first incident."""
    alarms = sum(at is not None for at in opened)
    exposed = sum(windows if at is None else at + 1 for at in opened)
    low, high = interval(alarms, exposed)
    return Quiet(
        world=world,
        features=features,
        false_alarm_every=every,
        seed=seed,
        runs=len(opened),
        windows_each=windows,
        incidents=alarms,
        pages=pages,
        windows=exposed,
        rate_low=low,
        rate_high=high,
        highest_evidence=highest,
    )


def delay(world: World, seed: int, runs: int, every: float, name: str, change: Change, goal: float | None) -> Delay:
    """Run streams with a change."""
    ran = [once(world, seed, run, every, BEFORE + AFTER_MAX, BEFORE, change) for run in range(runs)]
    fair = [r for r in ran if r.opened is None or r.opened >= BEFORE]
    took = [math.inf if r.opened is None else r.opened - BEFORE + 1 for r in fair]
    ends = [None if math.isinf(x) else float(x) for x in (np.quantile(took, q, method="nearest") for q in (0.1, 0.9))]
    middle = statistics.median(took)
    return Delay(
        world=world.name,
        features=world.features,
        false_alarm_every=every,
        seed=seed,
        change=name,
        runs=runs,
        median=None if math.isinf(middle) else middle,
        low=ends[0],
        high=ends[1],
        found=sum(math.isfinite(x) for x in took),
        named=sum(r.named for r in fair),
        early=runs - len(fair),
        goal=goal,
    )


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Exact 95 % interval of a rate."""
    low = float(stats.beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high
