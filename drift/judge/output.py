"""What leaves the judge: alerts as far as people want to hear of them, and the retraining orders that follow."""

from collections.abc import Callable, Iterable
from operator import itemgetter

from drift.incidents.book import keep
from drift.incidents.retraining import order
from drift.incidents.severity import heeded
from drift.judge.segment import SegmentMonitor
from drift.judge.state import ModelState
from streams.wire.records import Alert, Order, Report

Output = Report | Alert | Order


def leaving(state: ModelState, output: Iterable[Report | Alert]) -> list[Output]:
    """Reports as they are, alerts by what people said of their incidents and by the settings, and orders after them."""
    several: list[Output] = []
    for each in output:
        several += _with_order(state, state.heeds.applied(each)) if isinstance(each, Alert) else [each]
    return several


def unmuted(state: ModelState, monitor: SegmentMonitor, end_ms: int, spell: Callable[[int], str]) -> list[Output]:
    """Tell once of what worsened while an incident was muted, when a window closes that the mute does not reach.

    Parameters
    ----------
    state, monitor
        The model, and the segment whose window has closed.
    end_ms
        The window's end.
    spell
        Writes an event time.
    """
    several: list[Output] = []
    for _, holder in sorted(monitor.holders().items(), key=itemgetter(0)):
        alert = None if holder.last is None else state.heeds.unmuted(holder.last, end_ms, spell)
        if alert is not None:
            keep(holder, alert)
            several += _with_order(state, alert)
    return several


def _with_order(state: ModelState, alert: Alert) -> list[Output]:
    """An alert as the settings say, and the order that follows it, if one does."""
    alert = heeded(alert, state.watch)
    following = order(alert, state.ordered_ms)
    if following is None:
        return [alert]
    state.ordered_ms = following.ts
    return [alert, following]
