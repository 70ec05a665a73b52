"""The result: what was run, how often each contestant alarmed for nothing, and how long each took to see a shift."""

import math
from collections.abc import Sequence

import msgspec

from drift.analysis.bench.contestants import PAGES
from drift.analysis.bench.shifts import DEFAULT
from drift.analysis.bench.streams import BEFORE


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is run.

    Parameters
    ----------
    rows_per_window, windows, runs
        Rows of a window; windows of a stream without drift; streams of each kind.
    false_alarm_every
        The budget: windows between false alarms that every contestant is told of.
    shifts, column, gradual
        Shifts as `drift.analysis.bench.shifts` spells them; the column that they are made in, by default each that can
        be, in turns; windows over which they grow, 0 for sudden ones.
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

    @classmethod
    def of(cls, name: str, level: float | None, first: Sequence[int | None], each: int) -> "Quiet":
        """Sum up streams of so many windows by the window of their first alarm.

        Parameters
        ----------
        level
            Threshold that was found; None where there is none to find.
        first
            First alarm of each stream; None where it had none.
        each
            Windows of a stream.
        """
        count = sum(at is not None for at in first)
        watched = sum(each if at is None else at + 1 for at in first)
        low, high = interval(count, watched)
        return cls(contestant=name, threshold=level, alarms=count, windows=watched, low=low, high=high)

    def keeps(self, every: float) -> bool:
        """Whether the rate may be what was promised."""
        return self.low <= 1 / every


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Windows from a change to a contestant's alarm, that one included; None for more than were run.

    ``low`` and ``high`` are the tenth and the ninetieth percentile; ``early`` streams had an alarm before the change,
    and are left out.
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

    @classmethod
    def of(cls, shift: str, name: str, columns: int, first: Sequence[int | None]) -> "Delay":
        """Sum up streams that change with window `BEFORE`, by the window of their first alarm.

        Parameters
        ----------
        columns
            In how many columns the shift was made.
        first
            First alarm of each stream; None where it had none.
        """
        fair = [at for at in first if at is None or at >= BEFORE]
        took = sorted(math.inf if at is None else float(at - BEFORE + 1) for at in fair)
        low, middle, high = (_percentile(took, q) for q in (0.1, 0.5, 0.9))
        return cls(
            shift=shift,
            contestant=name,
            columns=columns,
            median=middle,
            low=low,
            high=high,
            found=sum(math.isfinite(windows) for windows in took),
            streams=len(fair),
            early=len(first) - len(fair),
        )


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

    @property
    def shifts(self) -> list[str]:
        """The shifts that were made, in their order."""
        return list(dict.fromkeys(delay.shift for delay in self.delays))

    def delay(self, shift: str, contestant: str) -> Delay:
        """Delays of one contestant to one shift."""
        return next(d for d in self.delays if (d.shift, d.contestant) == (shift, contestant))

    @property
    def keeping(self) -> list[str]:
        """Contestants that may keep the promise, but for pages, which are ours a second time."""
        return [q.contestant for q in self.quiet if q.keeps(self.plan.false_alarm_every) and q.contestant != PAGES]

    def first(self, shift: str) -> list[str]:
        """Of those that keep the promise, the first to see a shift, in half of the streams at least."""
        medians = {name: self.delay(shift, name).median for name in self.keeping}
        fastest = min((median for median in medians.values() if median is not None), default=None)
        return [name for name, median in medians.items() if median is not None and median == fastest]

    @property
    def sentence(self) -> str:
        """Say who keeps the promise, and who of them is first."""
        every = f"{self.plan.false_alarm_every:,.0f}"
        broken = [q.contestant for q in self.quiet if q.contestant not in (*self.keeping, PAGES)]
        if not self.keeping:
            return f"Nobody keeps the promise of one false alarm in {every} windows on these rows."
        seen = [self.first(shift) for shift in self.shifts]
        times = {name: sum(name in first for first in seen) for name in self.keeping}
        best, *others = sorted(times, key=lambda name: -times[name])
        also = "".join(f", {name} in {times[name]}" for name in others if times[name])
        most = f"{best} is first, or among the first, in {times[best]} of {len(seen)} shifts{also}"
        verb = "alarms" if len(broken) == 1 else "alarm"
        loud = f"{', '.join(broken)} {verb} more often than promised. " if broken else ""
        return f"{loud}Of those that keep to one false alarm in {every} windows, {most}."


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Exact 95 % interval of a rate (Clopper and Pearson, 1934).

    >>> interval(0, 100)[0], round(interval(0, 100)[1], 4)
    (0.0, 0.0362)
    """
    from scipy.stats import beta

    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0


def _percentile(ascending: Sequence[float], q: float) -> float | None:
    """Lower percentile, None where it is infinite or there is none.

    >>> _percentile([1.0, 4.0, math.inf], 0.5)
    4.0
    """
    if not ascending:
        return None
    value = ascending[max(0, math.ceil(q * len(ascending)) - 1)]
    return value if math.isfinite(value) else None
