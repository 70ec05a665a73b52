"""How harm is told: the alerts of a loss that has grown, grows further, shrinks, and is back, and their sentences."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from drift.incidents.alert_ids import next_id
from drift.incidents.closed_window import evidence_of
from drift.incidents.labelled_window import Labelled
from drift.incidents.loss_regime import Regime
from drift.incidents.spelling import IN_REFERENCE, from_to, percent, spell
from drift.performance.label_sums import LABELLED
from drift.performance.losses import Loss
from drift.statistics.effect import Z95
from streams.wire.records import Alert, IncidentEvent, MovedColumn

_NAMES = {
    "accuracy": "accuracy",
    "brier": "the Brier score",
    "log_loss": "the log loss",
    "mae": "the mean absolute error",
}


@dataclass(frozen=True, eq=False)
class Telling:
    """What is told of a window: a loss (its place among the window's), since when and between which times (ms), and the
    rows and label sums of that stretch, int64 [score cells, 4].
    """

    window: Labelled
    at: int
    since: int
    between: tuple[int, ...]
    rows: int
    sums: np.ndarray
    log_evidence: float

    @property
    def loss(self) -> Loss:
        """The loss, against the training data."""
        return self.window.losses[self.at]

    def mean(self, sums: np.ndarray, place: int | None = None) -> float:
        """Mean of the loss, or of that at another place, over label sums."""
        loss = self.window.losses[self.at if place is None else place]
        return self.window.amount(loss, sums).mean


def opening(telling: Telling, alert_id: str, event: IncidentEvent, page: bool) -> Alert:
    """Tell of a loss that has grown; it pages once it is above its tolerance.

    Parameters
    ----------
    telling
        The loss, and the stretch that it has grown over.
    alert_id
        Id of the alert.
    event
        ``open``, or ``update`` where the incident was open already.
    page
        Whether the loss is above its tolerance for certain.
    """
    window = telling.window
    loss = "the error rate" if telling.loss.metric == "accuracy" else name(telling.loss)
    tail = "" if page else f"; not yet certain that {loss} grew by more than the tolerated {percent(window.tolerance)}"
    low, high = telling.between
    return Alert(
        id=alert_id,
        incident=alert_id.rpartition("/")[0],
        event=event,
        model=window.model,
        version=window.version,
        kind="performance",
        severity="critical" if page else "warning",
        page=page,
        reach="page" if page else "list",
        change_point=telling.since,
        change_point_low=low,
        change_point_high=high,
        budget=window.watch.false_alarm_every,
        text=f"{_moves(telling)} since {window.say(telling.since)}{_labels(telling)}{tail}",
        **_of_window(telling),
    )


def further(telling: Telling, last: Alert, former: Regime, worst: Regime) -> Alert:
    """Tell, and page, again: the loss has grown by another tolerance since it was told.

    Parameters
    ----------
    last
        The latest alert of the incident.
    former
        What was told last.
    worst
        The worst that was told.
    """
    since = telling.window.say(telling.since)
    text = f"{_moves(telling, former, ' further')} since {since}{_worst(telling, worst)}{_before(telling, last)}"
    return _next(telling, last, text + _labels(telling), severity="critical", page=True, reach="page", worse=True)


def better(telling: Telling, last: Alert, former: Regime, worst: Regime) -> Alert:
    """Tell that the loss has shrunk, and is not yet what it was.

    Parameters
    ----------
    last, former, worst
        As of `further`.
    """
    text = f"{_moves(telling, former, ' again')} since {telling.window.say(telling.since)}, not yet back"
    text += f"{_worst(telling, worst)}{_before(telling, last)}{_labels(telling)}"
    return _next(telling, last, text, page=False, reach="chat")


def settled(telling: Telling, last: Alert) -> Alert:
    """Correct what was told of the loss while it had but few rows."""
    text = f"{_stand(telling, 'is')} over {telling.rows:,} rows since {telling.window.say(telling.since)}"
    text += f", more than were known when last reported{_before(telling, last)}{_labels(telling)}"
    return _next(telling, last, text, page=False, reach="chat")


def back(telling: Telling, last: Alert, worst: Regime | None) -> Alert:
    """Close an incident whose loss is like the training data's again, and say what had happened.

    Parameters
    ----------
    last
        The latest alert of the incident.
    worst
        The worst that was told; None before anything was material.
    """
    window = telling.window
    text = f"{_stand(telling, 'is back at', 'at ')} ({_listed(_baseline(telling))}{IN_REFERENCE})"
    if worst is not None:
        between = f"from {window.say(last.change_point)} to {window.say(telling.since)}"
        # A loss that was told once has the figures of all of its rows by now: a mean, and not its worst.
        size = "at worst" if last.later else "on average"
        text += f"; it had been worse {between}, {_listed(_figures(telling, worst.sums))} {size}"
    reach = "chat" if worst is not None else "list"
    return _next(telling, last, text, event="close", page=False, reach=reach, columns=last.columns, later=last.later)


def farewell(last: Alert, ts: int, why: str) -> Alert:
    """Close the incident that ``last`` told of, for a reason that is no window's."""
    reach = "list" if last.reach == "list" else "chat"
    return msgspec.structs.replace(
        last, id=next_id(last), event="close", page=False, reach=reach, worse=False, act="", ts=ts, text=why
    )


def name(loss: Loss) -> str:
    """What people call a loss."""
    return _NAMES[loss.metric]


def _next(telling: Telling, last: Alert, text: str, **changes: Any) -> Alert:
    """The alert after the last one; the first change point stays, the new one is listed."""
    known = {last.change_point, *last.later}
    later = last.later if telling.since in known else [*last.later, telling.since]
    news = (
        _of_window(telling)
        | {"event": "update", "text": text, "later": later, "opinions": [], "worse": False, "act": ""}
        | changes
    )
    return msgspec.structs.replace(last, id=next_id(last), **news)


def _of_window(telling: Telling) -> dict[str, Any]:
    """What every alert takes from the window that it is told of."""
    window = telling.window
    evidence = evidence_of(window.in_windows(telling.log_evidence))
    return {
        "ts": window.end,
        "window_start": window.start,
        "window_end": window.end,
        "columns": [_column(telling, evidence)],
        "evidence": evidence,
        "reference": window.reference.id,
        "epoch": window.epoch,
    }


def _column(telling: Telling, evidence: float) -> MovedColumn:
    """The figure as the column that has moved: by how much its loss has grown, as a share of the training data's."""
    window, loss = telling.window, telling.loss
    now = window.amount(loss, telling.sums)
    reach = Z95 * now.standard_error(loss.design_effect)
    return MovedColumn(
        name=loss.metric,
        role="performance",
        statistic="loss",
        effect=now.mean / loss.mean - 1,
        effect_low=(now.mean - reach) / loss.mean - 1,
        effect_high=(now.mean + reach) / loss.mean - 1,
        tolerance=window.tolerance,
        evidence=evidence,
        n=now.rows,
        change_point=telling.since,
        counts=np.ravel(telling.sums).tolist(),
    )


def _moves(telling: Telling, before: Regime | None = None, again: str = "") -> str:
    """Say which figures moved, from what to what: the headline where one sees it move, and the loss that told."""
    moves: list[str] = []
    for place in sorted({0, telling.at}):
        loss = telling.window.losses[place]
        was = loss.mean if before is None else telling.mean(before.sums, place)
        now = telling.mean(telling.sums, place)
        same_way = (now > was) != (again == " again")
        figures = _figure(loss, was), _figure(loss, now)
        if place == telling.at or (same_way and spell(loss.metric, figures[0]) != spell(loss.metric, figures[1])):
            verb = "fell" if figures[1] < figures[0] else "rose"
            origin = IN_REFERENCE if before is None and not moves else ""
            moves.append(f"{name(loss)} {verb}{again} {from_to(loss.metric, *figures, origin)}")
    return " and ".join(moves)


def _stand(telling: Telling, verb: str, at: str = "") -> str:
    """Say how the figures stand."""
    (first, figure), *others = _figures(telling, telling.sums)
    return f"{first} {verb} {figure}" + "".join(f" and {what} {at}{other}" for what, other in others)


def _worst(telling: Telling, worst: Regime) -> str:
    """Say the worst that there was, unless it is what has just been said."""
    if telling.mean(worst.sums) <= telling.mean(telling.sums):
        return ", the worst so far"
    return f"; the worst so far: {_named(_figures(telling, worst.sums))}"


def _before(telling: Telling, last: Alert) -> str:
    began = "" if last.change_point == telling.since else f"; worse since {telling.window.say(last.change_point)}"
    (first, figure), *others = _baseline(telling)
    return f";{IN_REFERENCE} {first} was {figure}" + "".join(f" and {what} {was}" for what, was in others) + began


def _baseline(telling: Telling) -> list[tuple[str, str]]:
    """The figures of the reference data."""
    assert telling.window.reference.labels is not None
    return _figures(telling, telling.window.reference.labels)


def _figures(telling: Telling, sums: np.ndarray) -> list[tuple[str, str]]:
    """The headline, and the loss that is told of: name and figure of each."""
    places = sorted({0, telling.at})
    losses = [(telling.window.losses[place], telling.mean(sums, place)) for place in places]
    return [(name(loss), spell(loss.metric, _figure(loss, mean))) for loss, mean in losses]


def _listed(figures: list[tuple[str, str]]) -> str:
    return " and ".join(figure for _, figure in figures)


def _named(figures: list[tuple[str, str]]) -> str:
    return " and ".join(f"{what} {figure}" for what, figure in figures)


def _labels(telling: Telling) -> str:
    known = telling.sums[:, LABELLED].sum() / max(telling.rows, 1)
    return f"; labels cover {percent(min(1.0, float(known)))} of these rows"


def _figure(loss: Loss, mean: float) -> float:
    """The figure that people know of a mean loss."""
    return 1 - mean if loss.metric == "accuracy" else mean
