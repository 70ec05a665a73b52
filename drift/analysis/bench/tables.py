"""A bench as two tables of text, for a terminal and a page alike; the first row is the heading."""

from collections.abc import Sequence

from drift.analysis.bench.contestants import PAGES
from drift.analysis.bench.result import Bench, Delay, Quiet

NEVER, LOUD = "-", "!"


def false_alarms(quiet: Sequence[Quiet], every: float) -> list[list[str]]:
    """A row a contestant: false alarms, windows between them with their interval, and whether the promise is kept."""
    rows = [["detector", "false alarms", "one in, 95 %", "threshold", f"promised {every:,.0f}"]]
    for q in quiet:
        kept = "" if q.contestant == PAGES else "kept" if q.keeps(every) else "BROKEN"
        level = "" if q.threshold is None else f"{q.threshold:.3g}"
        rows.append([q.contestant, f"{q.alarms:,} in {q.windows:,}", _between(q), level, kept])
    return rows


def delays(bench: Bench) -> list[list[str]]:
    """A row a contestant: median windows to the alarm, shift by shift; marked where they are bought with alarms for
    nothing.
    """
    rows = [["detector", *bench.shifts]]
    for q in bench.quiet:
        name = q.contestant if q.keeps(bench.plan.false_alarm_every) else f"{q.contestant} {LOUD}"
        rows.append([name, *(_median(bench.delay(shift, q.contestant)) for shift in bench.shifts)])
    return rows


def _between(q: Quiet) -> str:
    low = f"{1 / q.high:,.0f}"
    return f"{low} or more" if q.low == 0 else f"{low} to {1 / q.low:,.0f}"


def _median(delay: Delay) -> str:
    return NEVER if delay.median is None else f"{delay.median:g}"
