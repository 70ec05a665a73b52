"""Estimated loss: the incident of a model whose scores promise worse predictions than they did, before any label.

The scores have moved, or it would not be examined: it stands on the evidence of the score's column and spends no budget
of its own. It is a warning and pages nobody, since an estimate sees the inputs and not the truth. Where many inputs
have left the training data it is not even that: nothing is opened, told or closed by it.
"""

import msgspec

from drift.cells.cells import SCORE
from drift.incidents.book import Finding
from drift.incidents.changed_column import ChangedColumn
from drift.incidents.closed_window import EvidenceWindow
from drift.incidents.spelling import IN_REFERENCE
from drift.incidents.text import Text, change, since, subject, text
from drift.incidents.volume import CALM_WINDOWS
from drift.performance.outside import OUTSIDE_MAX, outside
from drift.performance.window_metrics import estimate
from drift.reference.tolerances import tolerance
from streams.wire.records import Alert

#: An open incident is told again once the estimated loss is so many times what was told.
FURTHER = 1.25


class EstimatedLoss(msgspec.Struct, kw_only=True, eq=False):
    """What is remembered of the estimated loss.

    Parameters
    ----------
    last
        The latest alert of the open incident.
    calm
        Windows running in which nothing was worse.
    reported
        The growth of the loss as it was told last.
    """

    last: Alert | None = msgspec.field(default=None, name="open")
    calm: int = 0
    reported: float = msgspec.field(default=0.0, name="told")

    def observe(self, window: EvidenceWindow, score: ChangedColumn | None) -> Finding | None:
        """Take a window; ``score`` is what an open incident knows of the score's column, if one names it."""
        growth, sentence = (0.0, ()) if score is None else _growth(window, score)
        allowed = tolerance(window.watch, "performance")
        if score is not None and outside(window.baseline.reference, window.detector.counts - score.base) > OUTSIDE_MAX:
            # With many rows outside the training data the estimate is not reliable: it opens and closes nothing.
            self.calm = 0
            return None
        self.calm = self.calm + 1 if growth < allowed / 2 else 0
        if self.last is not None and not self.reported:
            self.reported = growth  # A snapshot from before it was kept.
        further = self.last is not None and 1 + growth > FURTHER * (1 + self.reported)
        if score is not None and window.context.opens and ((self.last is None and growth > allowed) or further):
            self.reported = growth
            return Finding(
                event="open" if self.last is None else "update",
                kind="performance",
                severity="warning",
                reach="chat",
                worse=self.last is not None,
                change=(score.change_point, score.low, score.high) if self.last is None else None,
                text=text(sentence, since(score.since), "; that is estimated from the scores alone, not from labels"),
            )
        if self.last is None or self.calm < CALM_WINDOWS:
            return None
        self.reported = 0.0
        why = text("the estimated performance is back to that of the reference data")
        return Finding(event="close", kind="performance", severity="warning", reach="chat", text=why)


def _growth(window: EvidenceWindow, score: ChangedColumn) -> tuple[float, Text]:
    """By how much the estimated loss has grown, as a share of the training data's, and how to say it."""
    reference = window.baseline.reference
    was, now = (estimate(reference, rows) for rows in (reference.of(SCORE), score.stretch(window)))
    if "accuracy" in was and "accuracy" in now and was["accuracy"] < 1:
        figures = change("accuracy", was["accuracy"], now["accuracy"], IN_REFERENCE)
        growth = (1 - now["accuracy"]) / (1 - was["accuracy"]) - 1
        return growth, text(subject("estimated accuracy"), " fell ", figures)
    if was.get("mae") and "mae" in now:
        figures = change("mae", was["mae"], now["mae"], IN_REFERENCE)
        return now["mae"] / was["mae"] - 1, text(subject("the estimated mean absolute error"), " rose ", figures)
    return 0.0, ()
