"""A closed window as it is remembered, and the watermarks at which it closes and is judged."""

from typing import NamedTuple

import msgspec
import numpy as np

from drift.performance.label_sums import LABELLED
from drift.windows.packed_sums import PackedSums
from streams.wire.records import HOUR_MS, Report, Watch

#: Rows that come late to a window are told after an hour, however long its labels are waited for.
LATE_ROWS_WAIT_MS = HOUR_MS
#: Labels that are sent together come within so long, partition by partition.
LABELS_COME_MS = 60_000


class Span(NamedTuple):
    """An interval of event time in ms, end excluded."""

    start: int
    end: int


class WindowRecord(msgspec.Struct, kw_only=True, eq=False):
    """What is remembered of a closed window: what restating its report needs, and no more, for there may be thousands.

    Parameters
    ----------
    span, report
        Its interval, and its report as it last left, without columns and figures: those are computed again.
    packed
        Its rows' sums, late ones too; None once it is one of the older ones.
    evidence, drifted
        What was found of its columns when it closed, float64 and bool [columns]; empty without evidence.
    labels, scores
        Its label sums so far, int64 [score cells, 4]; its rows in each score cell, int64 [score cells], once its rows'
        sums are gone.
    label_faults
        Labels that are in no sum, by their text.
    repeated, sampled
        Rows that repeat the id of another one, of so many that were looked at (`drift.counting.duplicate_ids`).
    untold, rows_changed
        Late rows and labels that came since the report last left; whether there were rows among them.
    shared
        It was asked which part of its rows came late, or twice; where labels are waited for longer than for rows.
    waited, judged
        Its labels have had the time that is theirs; what came late to it was judged.
    awaits_labels
        No label had come by then, or they are known to come later: its performance is yet to be judged.
    closed_at_ms, labelled_at_ms
        When it closed, and when its first label came after that, by Kafka's clock; 0 where that is not known.
    """

    span: Span
    report: Report
    packed: PackedSums | None = msgspec.field(name="kept")
    evidence: np.ndarray
    drifted: np.ndarray
    labels: np.ndarray | None
    scores: np.ndarray | None = None
    label_faults: dict[str, int] = {}
    repeated: int = 0
    sampled: int = 0
    untold: int = 0
    rows_changed: bool = False
    waited: bool = False
    judged: bool = False
    shared: bool = False
    awaits_labels: bool = False
    closed_at_ms: int = 0
    labelled_at_ms: int = 0

    def fills(self, at_ms: int) -> bool:
        """Whether its first labels have just come, so that more of them are on their way."""
        soon = bool(self.labelled_at_ms and at_ms) and at_ms - self.labelled_at_ms < LABELS_COME_MS
        return soon and not self.all_labelled

    @property
    def labelled(self) -> int:
        """How many of its rows have a label."""
        return 0 if self.labels is None else max(0, int(self.labels[:, LABELLED].sum()))

    @property
    def all_labelled(self) -> bool:
        """Whether each of its rows has a label."""
        return self.labelled >= self.report.rows

    def mostly_labelled(self, usual: float) -> bool:
        """Whether more than half of the labels have come that usually come, as a share of its rows."""
        return 2 * self.labelled > usual * self.report.rows


def closes_at(watch: Watch, span: Span) -> int:
    """Watermark at which a window closes."""
    return span.end + watch.lateness_ms_max


def shared_at(watch: Watch, span: Span) -> int:
    """Watermark at which a window's late rows have had their time."""
    return span.end + max(watch.lateness_ms_max, min(watch.label_wait_ms_max, LATE_ROWS_WAIT_MS))


def judged_at(watch: Watch, span: Span) -> int:
    """Watermark at which a window's labels have had their time."""
    return span.end + max(watch.lateness_ms_max, watch.label_wait_ms_max)
