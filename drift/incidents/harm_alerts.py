"""How harm is told: the alert of a loss that has grown, and its sentence."""

import msgspec
import numpy as np

from drift.evidence.risk import Risk
from drift.incidents.labelled import Labelled
from drift.incidents.scene import evidence_of
from drift.incidents.sentences import percent
from drift.performance.label_sums import LABELLED
from drift.performance.losses import Loss
from drift.statistics.effect import Z95
from streams.records import Alert, IncidentEvent, MovedColumn

_NAMES = {
    "accuracy": "accuracy",
    "brier": "the Brier score",
    "log_loss": "the log loss",
    "mae": "the mean absolute error",
}


def telling(window: Labelled, risk: Risk, at: int, name: str, event: IncidentEvent, page: bool) -> Alert:
    """Tell of a loss, the one at place ``at``, that has grown; it pages once it is above its tolerance."""
    since, low, high = risk.change_point(at)
    evidence = evidence_of(window.in_windows(risk.log_evidence))
    return Alert(
        id=name,
        incident=name.rpartition("/")[0],
        event=event,
        model=window.model,
        version=window.version,
        ts=window.end,
        window_start=window.start,
        window_end=window.end,
        kind="performance",
        severity="critical" if page else "warning",
        page=page,
        reach="page" if page else "list",
        columns=[_figure(window, risk, at, evidence)],
        change_point=since,
        change_point_low=low,
        change_point_high=high,
        evidence=evidence,
        budget=window.watch.false_alarm_every,
        reference=window.reference.id,
        epoch=window.epoch,
        text=_sentence(window, risk, at) + ("" if page else f"; not yet {percent(window.tolerance)} worse for certain"),
    )


def farewell(last: Alert, ts: int, why: str) -> Alert:
    """Close the incident that ``last`` told of."""
    return msgspec.structs.replace(
        last,
        id=next_id(last),
        event="close",
        page=False,
        reach="chat" if last.reach != "list" else "list",
        ts=ts,
        text=why,
    )


def next_id(last: Alert) -> str:
    """Id of the alert after the last one of an incident."""
    incident, _, told = last.id.rpartition("/")
    return f"{incident}/{int(told) + 1}"


def name(loss: Loss) -> str:
    """What people call a loss."""
    return _NAMES[loss.metric]


def _figure(window: Labelled, risk: Risk, at: int, evidence: float) -> MovedColumn:
    """The figure as the column that has moved: by how much its loss has grown, as a share of the training data's."""
    loss, sums = window.losses[at], risk.stretch(at)[1]
    now = window.amount(loss, sums)
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
        change_point=risk.change_point(at)[0],
        counts=np.ravel(sums).tolist(),
    )


def _sentence(window: Labelled, risk: Risk, at: int) -> str:
    """Say which figure is worse, by how much, since when, and how many rows the labels speak of."""
    rows, sums = risk.stretch(at)
    told = [_change(window, window.losses[place], sums) for place in sorted({0, at})]  # The headline first.
    known = sums[:, LABELLED].sum() / max(rows, 1)
    return f"{' and '.join(told)} since {window.say(risk.change_point(at)[0])}; labels cover {percent(min(1.0, known))}"


def _change(window: Labelled, loss: Loss, sums: np.ndarray) -> str:
    now = window.amount(loss, sums).mean
    if loss.metric == "accuracy":
        verb = "fell" if now > loss.mean else "rose"
        return f"accuracy {verb} from {percent(1 - loss.mean)} to {percent(1 - now)}"
    return f"{name(loss)} {'rose' if now > loss.mean else 'fell'} from {loss.mean:.3g} to {now:.3g}"
