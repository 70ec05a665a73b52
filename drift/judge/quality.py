"""The quality of what comes in: volume and silence, late, repeated and refused rows, faulty labels, rows far behind."""

from drift.incidents.book import ended
from drift.incidents.closed_window import ClosedWindow
from drift.incidents.label_faults import label_fault
from drift.incidents.refused_requests import BROKEN, sentence
from drift.incidents.row_quality import LABEL_FAULTS, LATE, REFUSED, REPEATED, Observed, certain
from drift.incidents.text import text
from drift.judge.monitor import Monitor
from drift.performance.label_sums import LABELLED
from drift.windows.window_record import Span, WindowRecord
from streams.wire.records import MINUTE_MS, Alert


def judge_volume(monitor: Monitor, window: ClosedWindow, rows: int) -> list[Alert]:
    """Hold a window's rows against what is usual; those of a last one are what happened to be there.

    Parameters
    ----------
    monitor
        The segment.
    window, rows
        The window, and its timely rows.
    """
    volume = monitor.state.volume
    if monitor.context.last:
        volume.until = window.end
        return []
    return monitor.tell(volume, window, volume.observe(window, rows))


def judge_silence(monitor: Monitor) -> list[Alert]:
    """All sources are asleep, and every window is closed."""
    windows, volume = monitor.state.windows, monitor.state.volume
    if windows.edge is None or not monitor.context.opens:
        return []
    since = max([windows.edge, *(minute + MINUTE_MS for minute in windows.minutes)])
    return monitor.tell(volume, monitor.closed(windows.edge, windows.edge), volume.silence(since))


def forget_volume(monitor: Monitor, ts: int, why: str) -> list[Alert]:
    """Learn anew what volume is usual, and close its incident.

    Parameters
    ----------
    monitor
        The segment.
    ts, why
        Event time (ms) of the end, and the reason.
    """
    monitor.state.volume.forget()
    return ended(monitor.state.volume, ts, text(why))


def judge_late_rows(monitor: Monitor, record: WindowRecord) -> list[Alert]:
    """Ask which part of a window's rows came late, and which repeats an id."""
    report = record.report
    late = Observed(what=LATE, count=report.late_rows, rows=report.rows)
    repeated = Observed(what=REPEATED, count=record.repeated, rows=record.sampled)
    return _judge(monitor, record.span, late) + _judge(monitor, record.span, repeated)


def judge_label_faults(monitor: Monitor, record: WindowRecord) -> list[Alert]:
    """Ask which part of a window's labels are none that the model could be right about."""
    faults = sum(record.label_faults.values())
    labels = faults + (0 if record.labels is None else max(0, int(record.labels[:, LABELLED].sum())))
    reference = monitor.measured().reference
    broken = bool(faults) and certain(monitor.context.watch, faults, labels, BROKEN)
    observed = Observed(
        what=LABEL_FAULTS,
        count=faults,
        rows=labels,
        severity="warning" if broken else "watch",
        sentence=lambda: label_fault(reference, record.label_faults, labels, record.span.start),
    )
    return _judge(monitor, record.span, observed)


def judge_refused(monitor: Monitor, span: Span) -> list[Alert]:
    """Ask which part of the requests was refused in a window that is over."""
    rows, reasons = monitor.state.refused.pop(span)
    refused = sum(reasons.values())
    requests = rows + refused
    kinds = {cells.name: cells.kind for cells in monitor.baseline.reference.columns} if refused else {}
    broken = bool(refused) and certain(monitor.context.watch, refused, requests, BROKEN)
    observed = Observed(
        what=REFUSED,
        count=refused,
        rows=requests,
        severity="critical" if broken else "warning",
        sentence=lambda: sentence(reasons, requests, kinds, span.start),
    )
    return _judge(monitor, span, observed)


def judge_far_behind(monitor: Monitor, reached: int) -> list[Alert]:
    """Tell that rows come that lie far behind the stream, which has reached an event time."""
    if not monitor.context.opens:
        return []
    behind = monitor.state.behind
    return monitor.tell(behind, monitor.closed(reached, reached), behind.opening(monitor.context.watch, reached))


def close_far_behind(monitor: Monitor, due: int) -> list[Alert]:
    """Event time has gone on to ``due`` (ms) since rows came that lay far behind."""
    behind = monitor.state.behind
    alerts = monitor.tell(behind, monitor.closed(due, due), behind.closing())
    behind.forget()
    return alerts


def _judge(monitor: Monitor, span: Span, observed: Observed) -> list[Alert]:
    quality, window = monitor.state.row_quality, monitor.closed(span.start, span.end)
    return monitor.tell(quality.of(observed.what), window, quality.observe(window, observed)) if observed.rows else []
