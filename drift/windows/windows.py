"""Windows of event time: which minutes make one, when it closes, and where a straggler belongs.

Minutes are the atoms. When the watermark has passed a window's end and the allowed lateness, its minutes close as
one; a window with too few rows takes the next one in. Rows and labels that come for a closed window restate its
report. Nothing here depends on the order in which different partitions' counts arrive.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from drift.cells.sums import Sums
from drift.counting.calendar import calendar_of
from drift.counting.duplicate_ids import merged, share
from drift.labels import LabelDelays
from drift.windows.packed_sums import pack
from drift.windows.window_record import LATE_ROWS_WAIT_MS, Span, WindowRecord, judged_at, shared_at
from streams.wire.records import DAY_MS, MINUTE_MS, Watch

#: A closed window may be restated until the watermark is this many label waits past its end.
RESTATE_WAITS = 2
#: Late rows restate the newest closed windows, so many of them; older ones are restated by labels, without columns.
ROWS_WINDOWS_MAX = 128
#: The newest windows without labels are kept, so many and for so long, in case labels come after the wait.
AWAITED_WINDOWS_MAX, AWAITED_MS_MAX = 128, 31 * 86_400_000
#: A window begins late, or ends early, where no row came for so many times their mean distance.
GAP_SPACINGS = 10


class Windows(msgspec.Struct, kw_only=True, eq=False):
    """The windows of one model version and segment.

    Parameters
    ----------
    minutes
        Open minutes' timely rows, by the minute's start.
    ids
        Sketches of the ids of open minutes' timely rows, by minute.
    late, labels, label_faults
        Late rows' sums, label sums, and labels that are in none (by their text), that wait for their window to close,
        by minute.
    closed
        Closed windows that may still be restated, oldest first.
    edge
        End of the last closed window.
    forgotten
        End of the last window that may no more be restated; what comes for it is counted in ``rows_too_late``.
    end_gap_ms
        Longest time without rows at the end of a window so far.
    delays
        How long after their windows labels came.
    """

    minutes: dict[int, Sums] = {}
    ids: dict[int, bytes] = {}
    late: dict[int, Sums] = {}
    labels: dict[int, np.ndarray] = {}
    label_faults: dict[int, dict[str, int]] = {}
    closed: list[WindowRecord] = []
    edge: int | None = None
    forgotten: int | None = None
    rows_too_late: int = 0
    end_gap_ms: int = 0
    delays: LabelDelays = msgspec.field(default_factory=LabelDelays)

    @property
    def empty(self) -> bool:
        """Whether windows have closed, none waits, and none may be restated."""
        return self.edge is not None and not (self.minutes or self.late or self.labels or self.closed)

    def quiet(self, watch: Watch, watermark_ms: int | None) -> bool:
        """Whether the newest open minute is older than labels are waited for."""
        return watermark_ms is None or max(self.minutes, default=0) + watch.label_wait_ms_max <= watermark_ms

    def add_rows(self, minute: int, sums: Sums, late: bool, ids: bytes = b"") -> WindowRecord | None:
        """Add a minute's rows; returns the closed window that they restate, if any.

        Late rows stay apart from timely ones even while their window is open: whether it is depends on other
        partitions, and no decision may.

        Parameters
        ----------
        minute
            Begin of the minute, ms UTC.
        sums
            Sums of its rows.
        late
            Whether the rows came after their minute had passed.
        ids
            Sketch of the rows' ids; empty for none.
        """
        if not late and (self.edge is None or minute >= self.edge):
            held = self.minutes.get(minute)
            self.minutes[minute] = sums if held is None else held + sums
            if ids:
                self.ids[minute] = merged(self.ids.get(minute, b""), ids)
            return None
        if self.edge is None or minute >= self.edge:
            held = self.late.get(minute)
            self.late[minute] = sums if held is None else held + sums
            return None
        window = self._covering(minute)
        if window is None or window.packed is None:
            self.rows_too_late += sums.rows
            return None
        window.packed = pack(window.packed.sums + sums)
        window.report = msgspec.structs.replace(
            window.report, rows=window.packed.rows, late_rows=window.report.late_rows + sums.rows
        )
        window.untold += sums.rows
        window.rows_changed = True
        return window

    def add_labels(self, minute: int, cells: np.ndarray, at_ms: int = 0) -> WindowRecord | None:
        """Add label sums; returns the closed window that they restate, if any.

        Parameters
        ----------
        minute
            Begin of their minute, ms UTC.
        cells
            The sums, int64 [score cells, 4].
        at_ms
            When they came, by Kafka's clock; 0 where that is not known.
        """
        if self.edge is None or minute >= self.edge:
            held = self.labels.get(minute)
            self.labels[minute] = cells if held is None else held + cells
            return None
        window = self._covering(minute)
        changed = max(1, int(np.abs(cells[:, 0]).sum()))
        if window is None:
            self.rows_too_late += changed
            return None
        window.labels = cells if window.labels is None else window.labels + cells
        window.untold += changed
        window.labelled_at_ms = window.labelled_at_ms or at_ms
        return window

    def add_label_faults(self, minute: int, faults: Mapping[str, int]) -> None:
        """Add labels that are in no sum, by their text."""
        if self.edge is None or minute >= self.edge:
            held = self.label_faults.setdefault(minute, {})
        else:
            window = self._covering(minute)
            if window is None:
                self.rows_too_late += sum(faults.values())
                return
            held = window.label_faults
        for text, many in faults.items():
            held[text] = held.get(text, 0) + many

    def pop_label_faults(self, span: Span) -> dict[str, int]:
        """Remove a window's labels that are in no sum."""
        total: dict[str, int] = {}
        for minute in sorted(minute for minute in self.label_faults if minute < span.end):
            for text, many in self.label_faults.pop(minute).items():
                total[text] = total.get(text, 0) + many
        return total

    def _covering(self, minute: int) -> WindowRecord | None:
        """The closed window that holds a minute, or the next one if it lies between two."""
        if self.forgotten is not None and minute < self.forgotten:
            return None
        return next((window for window in self.closed if window.span.end > minute), None)

    def ready(self, watch: Watch, watermark_ms: int | None, starved: bool = False) -> Span | None:
        """The next window to close, if the watermark lets it; None asks for the last one, whatever it holds.

        ``starved`` asks for what is left even if it is too little for a window: nothing more is expected.

        Parameters
        ----------
        watch
            Lengths of windows and the rows that one needs.
        watermark_ms
            Event time that all partitions have passed, ms; None asks for the last window.
        starved
            Whether nothing more is expected.
        """
        if not self.minutes:
            return None
        ordered = sorted(self.minutes)
        calendar = calendar_of(watch)
        start, _ = calendar.span(ordered[0])
        if self.edge is not None:
            start = max(start, self.edge)
        end, rows = start, 0
        for minute in ordered:
            if minute >= end:
                if rows >= watch.window_rows_min and end > start:
                    break
                _, end = calendar.span(minute)
                if watermark_ms is not None and end + watch.lateness_ms_max > watermark_ms:
                    return None
            rows += self.minutes[minute].rows
        enough = rows >= watch.window_rows_min or starved or watermark_ms is None
        return Span(start, end) if enough else None

    def partial(self, span: Span, last: bool) -> bool:
        """Whether the stream begins after the start of a window that is ready, or ends before its end.

        Parameters
        ----------
        last
            Nothing more is expected: rows may be missing at its end. A stream whose windows have ended so before is
            like that, as one is that sleeps at night.
        """
        minutes = [minute for minute in self.minutes if minute < span.end]
        rows = sum(self.minutes[minute].rows for minute in minutes)
        # A gap of ten times the mean distance between rows hardly comes by chance.
        chance = max(MINUTE_MS, GAP_SPACINGS * (span.end - span.start) // max(1, rows))
        start_gap, end_gap = min(minutes) - span.start, span.end - max(minutes) - MINUTE_MS
        begins_late = self.edge is None and start_gap > chance
        ends_early = last and end_gap > max(chance, self.end_gap_ms)
        self.end_gap_ms = max(self.end_gap_ms, end_gap)
        return begins_late or ends_early

    def pop(self, span: Span) -> tuple[Sums, Sums | None, np.ndarray | None]:
        """Remove a window's timely rows, late rows and label sums, and move the edge to its end.

        Late rows and labels from long before the window belong to no window, and are counted in ``rows_too_late``.
        """
        self.edge = span.end
        old = span.start - max(DAY_MS, 3 * (span.end - span.start))
        for minute in [minute for minute in self.late if minute < old]:
            self.rows_too_late += self.late.pop(minute).rows
        for minute in [minute for minute in self.labels if minute < old]:
            self.rows_too_late += max(1, int(np.abs(self.labels.pop(minute)[:, 0]).sum()))
        timely, late, labels = (_drain(held, span.end) for held in (self.minutes, self.late, self.labels))
        assert timely is not None, span
        return timely, late, labels

    def pop_ids(self, span: Span) -> tuple[int, int]:
        """Remove the sketches of a window's ids: rows that repeat one, of so many that were looked at."""
        held = b""
        for minute in [minute for minute in self.ids if minute < span.end]:
            held = merged(held, self.ids.pop(minute))
        return share(held)

    def unshared(self, watch: Watch, watermark_ms: int | None) -> WindowRecord | None:
        """The next closed window whose late rows have had their time, where labels are waited for longer; None asks
        whatever the time is.
        """
        if watch.label_wait_ms_max <= LATE_ROWS_WAIT_MS:
            return None
        oldest = next((window for window in self.closed if not (window.shared or window.judged)), None)
        early = oldest is not None and watermark_ms is not None and shared_at(watch, oldest.span) > watermark_ms
        return None if early else oldest

    def unjudged(self, watch: Watch, watermark_ms: int | None) -> WindowRecord | None:
        """The next closed window whose labels have had their time; None asks whatever the time is."""
        oldest = next((window for window in self.closed if not window.judged), None)
        early = oldest is not None and watermark_ms is not None and judged_at(watch, oldest.span) > watermark_ms
        return None if early else oldest

    def unmeasured(
        self, watch: Watch, watermark_ms: int | None, asleep_ms: int | None = None, at_ms: int = 0
    ) -> WindowRecord | None:
        """The next judged window whose labels came after its time, and have had the time that they take.

        Parameters
        ----------
        asleep_ms
            Where all sources are asleep, the time by a clock: event time stands still then, and labels do not. Once
            they have had their time by the clock, more than half of those that usually come are enough. The first ones
            alone are not: the labels of one class may come sooner than those of another.
        at_ms
            The time by Kafka's clock; 0 where that is not known.
        """
        oldest = next((window for window in self.closed if window.awaits_labels and window.labels is not None), None)
        early = oldest is not None and watermark_ms is not None and self.measured_at(watch, oldest.span) > watermark_ms
        if oldest is not None and oldest.fills(at_ms):
            return None
        if oldest is None or not early:
            return oldest
        waited = asleep_ms is not None and self.measured_at(watch, oldest.span) <= asleep_ms
        return oldest if waited and oldest.mostly_labelled(self._usual_coverage()) else None

    def whole(self) -> WindowRecord | None:
        """The oldest judged window that awaits labels, if it has all of them: there is none to wait for."""
        oldest = next((window for window in self.closed if window.awaits_labels), None)
        return oldest if oldest is not None and oldest.all_labelled else None

    def _usual_coverage(self) -> float:
        """Share of the rows that had a label in the windows that were measured; 1 where that is not known."""
        measured = [window for window in self.closed if window.judged and not window.awaits_labels and window.labelled]
        rows = sum(window.report.rows for window in measured)
        return sum(window.labelled for window in measured) / rows if rows else 1.0

    def measured_at(self, watch: Watch, span: Span) -> int:
        """Watermark at which a window's performance is judged: labels may take longer than they are given."""
        return max(judged_at(watch, span), span.end + self.delays.wait_ms(watch))

    def due(self, watch: Watch, watermark_ms: int) -> list[WindowRecord]:
        """Closed windows to be told again as time goes on: late rows came, or their labels have had their time.

        Labels come one by one for hours; a report for each of them would drown the windows that close.
        """
        due, wait = [], max(self.delays.wait_ms(watch), 1)
        for window in self.closed:
            waits = (watermark_ms - window.span.end - watch.lateness_ms_max) / wait
            ended = (waits >= 1 and not window.waited) or waits >= RESTATE_WAITS
            window.waited |= waits >= 1
            if window.untold and (window.rows_changed or ended):
                due.append(window)
        return due

    def remember(self, window: WindowRecord, score: slice | None) -> None:
        """Remember a window that has just closed; the oldest that has its rows' sums gives them up for it, but for the
        cells of the score.
        """
        self.closed.append(window)
        if len(self.closed) <= ROWS_WINDOWS_MAX:
            return
        older = self.closed[-ROWS_WINDOWS_MAX - 1]
        assert older.packed is not None, older.span
        older.scores = None if score is None else older.packed.sums.cells[score].copy()
        older.packed, older.evidence, older.drifted = None, np.zeros(0), np.zeros(0, bool)

    def forget(self, watch: Watch, watermark_ms: int, awaits: bool = False) -> None:
        """Drop closed windows that are too old to be restated; with ``awaits``, not the newest that have no label.

        Parameters
        ----------
        watermark_ms
            Watermark of the version.
        awaits
            Keep the newest windows of which no label has come.
        """
        until = watermark_ms - watch.lateness_ms_max - RESTATE_WAITS * self.delays.wait_ms(watch)
        while self.closed and self.closed[0].span.end <= until and not (awaits and self._awaited(watermark_ms)):
            self.forgotten = self.closed.pop(0).span.end

    def _awaited(self, watermark_ms: int) -> bool:
        """Whether the oldest window is kept for labels, none of which has come."""
        oldest = self.closed[0]
        few = len(self.closed) <= AWAITED_WINDOWS_MAX and oldest.span.end + AWAITED_MS_MAX > watermark_ms
        return few and oldest.awaits_labels


def _drain(held: dict[int, Any], end: int) -> Any:
    total = None
    for minute in sorted(minute for minute in held if minute < end):
        part = held.pop(minute)
        total = part if total is None else total + part
    return total
