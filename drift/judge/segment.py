"""A segment monitor: closes the windows of one model version and segment, and judges each when its time has come."""

from collections.abc import Iterable

import msgspec
import numpy as np

from drift.counting.calendar import calendar_of
from drift.incidents.book import Holder, ended
from drift.incidents.text import text
from drift.judge import quality
from drift.judge.columns import Judged, judge_columns
from drift.judge.monitor import Monitor
from drift.judge.performance import measure
from drift.windows import report as window_report
from drift.windows.packed_sums import pack
from drift.windows.window_record import Span, WindowRecord, judged_at
from streams.wire.records import Alert, Report

#: A closed window's report leaves again at once when so many rows or labels in a hundred are new; else when it is due.
RESTATE_PERCENT = 20


class SegmentMonitor(Monitor):
    """Judges one model version and segment."""

    def close(self, span: Span) -> list[Report | Alert]:
        """Close the next window: evidence by its timely rows, the report by all. A partial one is no evidence: hours
        that are missing would be taken for a change.
        """
        state, windows = self.state, self.state.windows
        partial = windows.partial(span, self.context.last)
        # Its length or its zone has changed within it: it holds but a part of a day.
        partial = partial or calendar_of(self.context.watch).span(span.start)[0] != span.start
        timely, late, labels = windows.pop(span)
        repeated, sampled = windows.pop_ids(span)
        sums = timely if late is None else timely + late
        judged = Judged(self.measured(), 0.0, [], [])
        if state.detector is not None and partial:
            state.volume.until = span.end
        elif state.detector is not None:
            closed = self.closed(span.start, span.end)
            judged = judge_columns(self, state.detector, closed, timely)
            judged.alerts.extend(quality.judge_volume(self, closed, timely.rows))
        window = WindowRecord(
            span=span,
            report=self._head(span, judged, sums.rows, 0 if late is None else late.rows, partial),
            packed=pack(sums),
            evidence=np.array([verdict.evidence for verdict in judged.verdicts]),
            drifted=np.array([verdict.drifted for verdict in judged.verdicts], bool),
            labels=labels,
            label_faults=windows.pop_label_faults(span),
            repeated=repeated,
            sampled=sampled,
            closed_at_ms=self.context.at_ms,
        )
        windows.remember(window, judged.baseline.score)
        return [window_report.full(judged.baseline, self.context.watch, window, sums), *judged.alerts]

    def _head(self, span: Span, judged: Judged, rows: int, late_rows: int, partial: bool) -> Report:
        """A window's report without columns and figures."""
        learning = self.state.learning
        return Report(
            model=self.context.model,
            version=self.context.version,
            segment=self.context.segment,
            window_start=span.start,
            window_end=span.end,
            rows=rows,
            late_rows=late_rows,
            reference=judged.baseline.reference.id,
            evidence=judged.evidence,
            budget=self.context.watch.false_alarm_every,
            columns=[],
            partial=partial or msgspec.UNSET,
            learning=(learning and learning.windows_left) or msgspec.UNSET,
        )

    def judge(self, window: WindowRecord) -> list[Alert]:
        """Judge what comes late to a closed window, labels and rows, once, when they have had their time; later ones
        restate only.

        A window without a label, or of a model whose labels are known to take longer, is measured when they have come.
        """
        window.judged, watch, baseline = True, self.context.watch, self.measured()
        alerts = [] if window.shared else quality.judge_late_rows(self, window)
        alerts += quality.judge_label_faults(self, window)
        if not baseline.losses(watch) or baseline.reference.score is None:
            return alerts
        late = self.state.windows.measured_at(watch, window.span) > judged_at(watch, window.span)
        window.awaits_labels = late or window.labels is None
        return alerts if window.awaits_labels else alerts + measure(self, window)

    def judge_late_rows(self, window: WindowRecord) -> list[Alert]:
        """Judge a window's late rows before its labels have had their time."""
        window.shared = True
        return quality.judge_late_rows(self, window)

    def retire(self, ts: int, why: str) -> list[Alert]:
        """Close every incident, for a reason that is no window's, and no trouble: so its severity is mild."""
        state, reason = self.state, text(why)
        alerts: list[Alert] = []
        for incident in state.incidents.open:
            alerts += ended(incident, ts, reason, "chat" if incident.material else "list")
        state.incidents.open = []
        if state.realised_loss is not None and state.realised_loss.last is not None:
            reach = state.realised_loss.last.reach
            alerts += ended(state.realised_loss, ts, reason, "list" if reach == "list" else "chat")
        alerts += ended(state.estimated_loss, ts, reason)
        state.estimated_loss.reported = 0.0
        alerts += quality.forget_volume(self, ts, why)
        for share in state.row_quality.known.values():
            alerts += ended(share, ts, reason)
            share.reported = 0.0
        if state.behind.last is not None:
            alerts += ended(state.behind, ts, reason, "list")
            state.behind.forget()
        return [msgspec.structs.replace(alert, severity="watch") for alert in alerts]

    def restate(self, windows: Iterable[WindowRecord]) -> list[Report]:
        """Report these windows again, as far as they have changed."""
        watch = self.context.watch
        return [
            window_report.restate(self.measured(window.report.reference), watch, window)
            for window in windows
            if window.untold
        ]

    def holders(self) -> dict[str, Holder]:
        """What keeps the latest alert of each open incident, by the incident's name."""
        state = self.state
        loss: list[Holder] = [] if state.realised_loss is None else [state.realised_loss]
        several: list[Holder] = [*state.incidents.open, *loss, state.estimated_loss, state.volume, state.behind]
        several += state.row_quality.known.values()
        return {holder.last.incident: holder for holder in several if holder.last is not None}


def restates_now(window: WindowRecord | None, asleep: bool = False) -> list[WindowRecord]:
    """The window that late rows or labels have changed, if by so much that its report leaves again at once: a fifth of
    its rows, or where event time stands still (``asleep``) as many labels as are still missing.
    """
    if window is None or not window.untold:
        return []
    least = -(-window.report.rows * RESTATE_PERCENT // 100)
    if asleep and window.labels is not None:
        least = min(least, window.report.rows - window.labelled)
    return [window] if window.untold >= least else []
