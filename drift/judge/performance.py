"""The performance of a closed window by its labels."""

from drift.incidents import LabelledWindow, RealisedLoss
from drift.incidents.river_opinions import with_river
from drift.judge.monitor import Monitor
from drift.performance.losses import amount
from drift.windows.window_record import WindowRecord
from streams.wire.records import Alert


def measure(monitor: Monitor, record: WindowRecord) -> list[Alert]:
    """Judge a window's performance by its labels."""
    record.awaits_labels = False
    state, watch, baseline = monitor.state, monitor.context.watch, monitor.measured()
    reference, losses = baseline.reference, baseline.losses(watch)
    if record.labels is None or not losses or reference.score is None:
        return []
    if state.loss_learning is not None:
        # Windows of an open incident do not show the usual spread.
        if state.realised_loss is None or state.realised_loss.open is None:
            now = amount(reference, losses[0].metric, record.labels)
            state.loss_learning.observe(now.rows, now.total, now.squares)
        if not state.loss_learning.ready:
            return []
        losses = baseline.losses(watch, state.loss_learning.effect(reference.loss_design_effect))
    if state.realised_loss is None:
        state.realised_loss = RealisedLoss.begin(losses, reference.score.size)
    window = LabelledWindow.of(
        monitor.closed(record.span.start, record.span.end),
        reference=reference,
        losses=losses,
        share=baseline.performance_share(watch),
        rows=record.report.rows,
        sums=record.labels,
    )
    loss, headline = state.realised_loss, losses[0]
    alerts = monitor.tell_each(window, ((loss, finding) for finding in loss.observe(window)))
    state.errors.observe(window.start, window.labelled, window.amount(headline, record.labels).mean)
    by_row = headline.metric == "accuracy"
    return [with_river(alert, window, state.errors, "error", by_row) for alert in alerts]
