"""Acts: what a person decided about an open incident is followed, or refused with the reason."""

from collections.abc import Callable, Sequence

from drift.incidents.acts import acted, sentence
from drift.incidents.book import keep
from drift.incidents.text import Text, names, since, spelled, text
from drift.judge.accepting import ActError, accept
from drift.judge.segment import SegmentMonitor
from drift.judge.state import ModelState
from streams.wire.records import Act, Alert


def follow_act(state: ModelState, monitors: Sequence[SegmentMonitor], act: Act, spell: Callable[[int], str]) -> Alert:
    """Follow an act; returns the alert that tells of it.

    Parameters
    ----------
    state, monitors
        The model, and its segments.
    act
        What was decided.
    spell
        Writes an event time.

    Raises
    ------
    ActError
        No open incident of the model is called so, or it cannot be accepted as it is.
    """
    of = ((monitor, monitor.holders()) for monitor in monitors)
    monitor, holder = next(((m, holders[act.incident]) for m, holders in of if act.incident in holders), (None, None))
    if monitor is None or holder is None or holder.last is None:
        raise ActError(f"{act.incident} is no open incident of {state.model}: it is closed, or never was")
    if act.act == "mute" and act.until_ms is None:
        raise ActError(f"{act.incident} cannot be muted for ever; say until when")
    last, parts = holder.last, sentence(act)
    if act.act == "rebaseline":
        parts = text(parts, _accept(state, monitor, act, last))
    alert = acted(last, act, spelled(parts, spell))
    keep(holder, alert)
    state.heeds.follow(act)
    if act.act == "rebaseline":
        state.heeds.of.pop(act.incident, None)
    return alert


def _accept(state: ModelState, monitor: SegmentMonitor, act: Act, last: Alert) -> Text:
    """Make an incident's rows since its change the usual ones, and say which, and of which reference."""
    version = monitor.context.version
    if version in state.suspended:
        raise ActError(f"the reference of {version} cannot be used; put it back first")
    rows, columns = accept(monitor.state, monitor.measured(), act.incident, f"{act.incident}/{act.at_ms}")
    reference = monitor.measured().reference.id
    be = "is" if len(columns) == 1 else "are"
    return text(
        ": from here on ",
        names(columns),
        f" {be} compared with the {rows:,} rows",
        since(last.later[-1] if last.later else last.change_point),
        f" (reference {reference[:8]})",
    )
