"""The columns of a closed window: their evidence, the incidents that follow, and each column's verdict."""

from typing import NamedTuple

import numpy as np

from drift.cells.cells import SCORE
from drift.cells.sums import Sums
from drift.evidence import Detector, Look
from drift.incidents import evidence_of
from drift.incidents.closed_window import ClosedWindow, EvidenceWindow
from drift.incidents.column_faults import fault
from drift.incidents.river_opinions import with_river
from drift.judge.monitor import Monitor
from drift.reference.baseline import Baseline
from drift.reference.learning import only
from drift.windows.report import Verdict
from streams.wire.records import Alert


class Judged(NamedTuple):
    """A window's baseline, the evidence of all columns together, its alerts, and each column's verdict."""

    baseline: Baseline
    evidence: float
    alerts: list[Alert]
    verdicts: list[Verdict]


def judge_columns(monitor: Monitor, detector: Detector, closed: ClosedWindow, timely: Sums) -> Judged:
    """Weigh a window's timely rows, and tell what follows from them.

    Parameters
    ----------
    monitor
        The segment.
    detector
        The evidence of its columns.
    closed, timely
        The window, and its timely rows.
    """
    state, window = monitor.state, _weigh(monitor, detector, closed, timely)
    alerts: list[Alert] = []
    if monitor.context.opens:
        alerts = monitor.tell_each(window, state.incidents.observe(window, monitor.book.number))
    reference = window.baseline.reference
    score = None if reference.score is None else state.incidents.changed(reference.place(SCORE))
    alerts += monitor.tell(state.estimated_loss, window, state.estimated_loss.observe(window, score))
    _remember_scores(monitor, window, timely)
    alerts = [with_river(alert, window, state.scores, "score") for alert in alerts]
    return Judged(window.baseline, evidence_of(window.log_total), alerts, _verdicts(monitor, window))


def _verdicts(monitor: Monitor, window: EvidenceWindow) -> list[Verdict]:
    """Each column's evidence in a window: while an incident names it, at least what it was named for."""
    several = []
    for column in range(len(window.weighted)):
        log_evidence, changed = float(window.weighted[column]), monitor.state.incidents.changed(column)
        if changed is None:
            several.append(Verdict(evidence_of(log_evidence), False))
        else:
            highest = max(log_evidence, changed.log_evidence)
            several.append(Verdict(evidence_of(highest), changed.drifted(window)))
    return several


def _weigh(monitor: Monitor, detector: Detector, closed: ClosedWindow, timely: Sums) -> EvidenceWindow:
    """Take a window's timely rows as evidence."""
    baseline = monitor.measured()
    look = detector.observe(baseline.contrasts, baseline.spread, timely.cells, timely.rows, closed.start)
    baseline, look = _learn(monitor, detector, baseline, look, timely.cells)
    return EvidenceWindow.of(closed, baseline=baseline, detector=detector, look=look, counts=timely.cells)


def _learn(
    monitor: Monitor, detector: Detector, baseline: Baseline, look: Look, counts: np.ndarray
) -> tuple[Baseline, Look]:
    """Learn how windows differ, if that is unknown; only what is broken is evidence till then."""
    learning = monitor.state.learning
    if learning is None or learning.effects is not None:
        return baseline, look
    if learning.observe(baseline, counts):
        wider = monitor.measured()
        detector.rescale(baseline.spread / wider.spread)
        return wider, detector.look(baseline.contrasts)
    columns, expected = baseline.reference.columns, baseline.reference.expected
    spans = [baseline.cells(n) for n in range(len(columns))]
    broken = [bool(fault(cells, counts[span], expected[span])) for cells, span in zip(columns, spans, strict=True)]
    return baseline, only(look, np.array(broken))


def _remember_scores(monitor: Monitor, window: EvidenceWindow, timely: Sums) -> None:
    """Keep the mean of a window's finite scores, in the fixed point of its reference."""
    baseline = window.baseline
    if baseline.score is None:
        return
    finite = int(timely.cells[baseline.score][1:-2].sum())
    total = int(timely.moments[baseline.reference.place(SCORE), 0])
    monitor.state.scores.observe(window.start, finite, total / max(1, finite))
