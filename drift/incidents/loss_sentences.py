"""Sentences about a realised loss that has grown, grows further, shrinks, and is back."""

import numpy as np

from drift.incidents.loss_regime import Regime
from drift.incidents.loss_stretch import LossStretch, figure, loss_name
from drift.incidents.spelling import IN_REFERENCE, percent, spell
from drift.incidents.text import Text, change, joined, since, subject, text, time
from streams.wire.records import Alert


def grown(stretch: LossStretch, certain: bool) -> Text:
    """Say that a loss has grown; where its tolerance is not passed for ``certain``, that too."""
    what = "the error rate" if stretch.loss.metric == "accuracy" else loss_name(stretch.loss)
    tolerated = percent(stretch.window.tolerance)
    doubt = "" if certain else f"; not yet certain that {what} grew by more than the tolerated {tolerated}"
    return text(_moves(stretch), since(stretch.since), _labels(stretch), doubt)


def further(stretch: LossStretch, last: Alert, former: Regime, worst: Regime) -> Text:
    """Say that the loss has grown by another tolerance since it was told.

    Parameters
    ----------
    stretch
        The stretch since then.
    last
        The latest alert of the incident.
    former, worst
        What was told last, and the worst that was told.
    """
    moves = _moves(stretch, former, " further")
    return text(moves, since(stretch.since), _worst(stretch, worst), _before(stretch, last), _labels(stretch))


def better(stretch: LossStretch, last: Alert, former: Regime, worst: Regime) -> Text:
    """Say that the loss has shrunk, and is not yet what it was.

    Parameters
    ----------
    stretch, last, former, worst
        As of `further`.
    """
    moves = text(_moves(stretch, former, " again"), since(stretch.since), ", not yet back")
    return text(moves, _worst(stretch, worst), _before(stretch, last), _labels(stretch))


def settled(stretch: LossStretch, last: Alert) -> Text:
    """Correct what was told of the loss while it had but few rows."""
    rows = f" over {stretch.rows:,} rows"
    more = ", more than were known when last reported"
    return text(_stand(stretch, "is"), rows, since(stretch.since), more, _before(stretch, last), _labels(stretch))


def back(stretch: LossStretch, last: Alert, worst: Regime | None) -> Text:
    """Say that the loss is like the training data's again, and what had happened.

    Parameters
    ----------
    stretch
        The stretch since it is.
    last
        The latest alert of the incident.
    worst
        The worst that was told; None before anything was material.
    """
    sentence = text(_stand(stretch, "is back at", "at "), f" ({_listed(_baseline(stretch))}{IN_REFERENCE})")
    if worst is None:
        return sentence
    # A loss that was told once has the figures of all of its rows by now: a mean, and not its worst.
    size = "at worst" if last.later else "on average"
    span = text("; it had been worse from ", time(last.change_point), " to ", time(stretch.since))
    return text(sentence, span, f", {_listed(stretch.figures(worst.sums))} {size}")


def _moves(stretch: LossStretch, before: Regime | None = None, again: str = "") -> Text:
    """Say which figures moved, from what to what: the headline where one sees it move, and the loss that told."""
    moves: list[Text] = []
    for n in sorted({0, stretch.at}):
        loss = stretch.window.losses[n]
        was = loss.mean if before is None else stretch.mean(before.sums, n)
        now = stretch.mean(stretch.sums, n)
        same_way = (now > was) != (again == " again")
        figures = figure(loss, was), figure(loss, now)
        if n == stretch.at or (same_way and spell(loss.metric, figures[0]) != spell(loss.metric, figures[1])):
            verb = "fell" if figures[1] < figures[0] else "rose"
            origin = IN_REFERENCE if before is None and not moves else ""
            moves.append(text(subject(loss_name(loss)), f" {verb}{again} ", change(loss.metric, *figures, origin)))
    return joined(moves, " and ")


def _stand(stretch: LossStretch, verb: str, at: str = "") -> Text:
    """Say how the figures stand."""
    (first, size), *others = stretch.figures(stretch.sums)
    rest = "".join(f" and {what} {at}{other}" for what, other in others)
    return text(subject(first), f" {verb} {size}{rest}")


def _worst(stretch: LossStretch, worst: Regime) -> str:
    """Say the worst that there was, unless it is what has just been said."""
    if stretch.mean(worst.sums) <= stretch.mean(stretch.sums):
        return ", the worst so far"
    figures = " and ".join(f"{what} {size}" for what, size in stretch.figures(worst.sums))
    return f"; the worst so far: {figures}"


def _before(stretch: LossStretch, last: Alert) -> Text:
    """Say what the figures were in the reference data, and since when they have been worse."""
    (first, size), *others = _baseline(stretch)
    rest = "".join(f" and {what} {was}" for what, was in others)
    began = () if last.change_point == stretch.since else text("; worse", since(last.change_point))
    return text(f";{IN_REFERENCE} {first} was {size}{rest}", began)


def _baseline(stretch: LossStretch) -> list[tuple[str, str]]:
    """The figures of the reference data."""
    labels: np.ndarray | None = stretch.window.reference.labels
    assert labels is not None
    return stretch.figures(labels)


def _listed(figures: list[tuple[str, str]]) -> str:
    return " and ".join(size for _, size in figures)


def _labels(stretch: LossStretch) -> str:
    return f"; labels cover {percent(stretch.coverage)} of these rows"
