"""Findings of a realised loss: it has grown, grows further, shrinks, and is back."""

import math
from typing import Any

import numpy as np

from drift.incidents import loss_sentences as sentences
from drift.incidents.book import Finding
from drift.incidents.closed_window import evidence_of
from drift.incidents.labelled_window import LabelledWindow
from drift.incidents.loss_regime import Regime
from drift.incidents.loss_stretch import LossStretch
from drift.performance.losses import Loss
from drift.statistics.effect import Z95
from streams.wire.records import Alert, IncidentEvent, MovedColumn

#: Standard errors by which a loss must lie above its tolerance, over all rows since its change point: one looks window
#: after window, and two of them would be passed by chance sooner or later. The newest pool alone, by which a long small
#: loss that suddenly grows is seen, begins anew again and again, so it takes more of them.
CERTAIN, CERTAIN_OF_POOL = 3.0, 4.0


def certain(window: LabelledWindow, loss: Loss, sums: np.ndarray, errors: float) -> bool:
    """Whether a loss is so many standard errors, its baseline's among them, above its tolerance.

    Parameters
    ----------
    window
        The newest window.
    loss, sums
        The loss, and the label sums that it is taken over, int64 [score cells, 4].
    errors
        Standard errors.
    """
    now, allowed = window.amount(loss, sums), 1 + window.tolerance
    if not now.rows:
        return False
    reach = errors * math.hypot(now.standard_error(loss.design_effect), allowed * loss.error)
    return now.mean - reach > allowed * loss.mean


def opening(stretch: LossStretch, event: IncidentEvent, page: bool) -> Finding:
    """A loss has grown; it pages once it is above its tolerance.

    Parameters
    ----------
    stretch
        The loss, and the stretch that it has grown over.
    event
        ``open``, or ``update`` where the incident was open already.
    page
        Whether the loss is above its tolerance for certain.
    """
    return _finding(
        stretch,
        event=event,
        severity="critical" if page else "warning",
        page=page,
        reach="page" if page else "list",
        change=(stretch.since, *stretch.between),
        text=sentences.grown(stretch, page),
    )


def further(stretch: LossStretch, last: Alert, former: Regime, worst: Regime) -> Finding:
    """The loss has grown by another tolerance since it was told: it pages again.

    Parameters
    ----------
    stretch
        The stretch since then.
    last
        The latest alert of the incident.
    former, worst
        What was told last, and the worst that was told.
    """
    sentence = sentences.further(stretch, last, former, worst)
    changes = {"severity": "critical", "page": True, "reach": "page", "worse": True}
    return _next(stretch, last, text=sentence, **changes)


def better(stretch: LossStretch, last: Alert, former: Regime, worst: Regime) -> Finding:
    """The loss has shrunk, and is not yet what it was.

    Parameters
    ----------
    stretch, last, former, worst
        As of `further`.
    """
    return _next(stretch, last, text=sentences.better(stretch, last, former, worst))


def settled(stretch: LossStretch, last: Alert) -> Finding:
    """A loss that was told of few rows stands otherwise now."""
    return _next(stretch, last, text=sentences.settled(stretch, last))


def back(stretch: LossStretch, last: Alert, worst: Regime | None) -> Finding:
    """The loss is like the training data's again, which closes the incident.

    Parameters
    ----------
    stretch
        The stretch since it is.
    last
        The latest alert of the incident.
    worst
        The worst that was told; None before anything was material.
    """
    sentence = sentences.back(stretch, last, worst)
    reach = "list" if worst is None else "chat"
    return _next(stretch, last, event="close", reach=reach, columns=last.columns, later=last.later, text=sentence)


def _next(stretch: LossStretch, last: Alert, **changes: Any) -> Finding:
    """What comes after an incident's latest alert; a new change point is listed beside the first."""
    known = {last.change_point, *last.later}
    later = last.later if stretch.since in known else [*last.later, stretch.since]
    usual: dict[str, Any] = {
        "event": "update",
        "severity": last.severity,
        "reach": "chat",
        "later": later,
        "budget": last.budget,
    }
    return _finding(stretch, **(usual | changes))


def _finding(stretch: LossStretch, **changes: Any) -> Finding:
    """What every finding takes from the newest window."""
    window = stretch.window
    evidence = evidence_of(window.in_windows(stretch.log_evidence))
    usual: dict[str, Any] = {
        "columns": [_column(stretch, evidence)],
        "evidence": evidence,
        "reference": window.reference.id,
    }
    return Finding(kind="performance", **(usual | changes))


def _column(stretch: LossStretch, evidence: float) -> MovedColumn:
    """The figure as the column that has moved: by how much its loss has grown, as a share of the training data's."""
    window, loss = stretch.window, stretch.loss
    now = window.amount(loss, stretch.sums)
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
        change_point=stretch.since,
        counts=np.ravel(stretch.sums).tolist(),
    )
