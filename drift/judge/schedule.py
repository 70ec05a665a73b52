"""What is due in the segments of a model, in order of event time over all of them: incident numbers follow it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from drift.judge import quality
from drift.judge.performance import measure
from drift.judge.segment import SegmentMonitor
from drift.judge.state import ModelState, SegmentState
from drift.windows.window_record import closes_at, judged_at, shared_at
from streams.wire.records import Alert, Report

Key = tuple[str, str]


class Step(NamedTuple):
    """One thing to do.

    Parameters
    ----------
    due_ms, rank
        When it is due, and whether it comes before or after others of that time.
    key
        The version and segment.
    run
        Does it, with the segment's monitor.
    """

    due_ms: int
    rank: int
    key: Key
    run: Callable[[SegmentMonitor], Sequence[Report | Alert]]


def next_step(
    state: ModelState, keys: Sequence[Key], reached: Callable[[str], int | None], at_ms: int = 0
) -> Step | None:
    """The first step that some segments are ready for.

    Parameters
    ----------
    state
        The model.
    keys
        The segments.
    reached
        How far event time has come for a version; None where every window is to close.
    at_ms
        The time by Kafka's clock; 0 where that is not known.
    """
    ready = [step for key in keys for step in _steps(state, key, reached(key[0]), at_ms)]
    return min(ready, key=lambda step: step[:3], default=None)


def _steps(state: ModelState, key: Key, reached: int | None, at_ms: int) -> Iterator[Step]:
    """What a segment is ready for; what concerns all rows of a version is that of the segment without a name."""
    segment, watch = state.segments[key], state.watch
    if not key[1] and (span := segment.refused.ready(watch, reached)) is not None:
        yield Step(closes_at(watch, span), 0, key, partial(quality.judge_refused, span=span))
    over = bool(state.routed) and key[0] not in state.routed and segment.windows.quiet(watch, reached)
    if (span := segment.windows.ready(watch, reached, starved=state.asleep or over)) is not None:
        yield Step(closes_at(watch, span), 1, key, partial(SegmentMonitor.close, span=span))
    if not key[1]:
        yield from _later_steps(state, segment, key, reached, at_ms)


def _later_steps(state: ModelState, segment: SegmentState, key: Key, reached: int | None, at_ms: int) -> Iterator[Step]:
    """Steps about windows that are closed."""
    watch, windows = state.watch, segment.windows
    if segment.behind.due(reached):
        assert segment.behind.closes_ms is not None
        due = segment.behind.closes_ms
        yield Step(due, 3, key, partial(quality.close_far_behind, due=due))
    if (window := windows.unshared(watch, reached)) is not None:
        yield Step(shared_at(watch, window.span), 2, key, partial(SegmentMonitor.judge_late_rows, window=window))
    if (window := windows.unjudged(watch, reached)) is not None:
        yield Step(judged_at(watch, window.span), 2, key, partial(SegmentMonitor.judge, window=window))
    if (window := windows.unmeasured(watch, reached, at_ms=at_ms)) is not None:
        due = windows.measured_at(watch, window.span)
        yield Step(due, 3, key, partial(measure, record=window))
