"""Hopes: the incident of a model whose scores promise worse predictions than they did, before any label says so.

The scores have moved, or it would not be asked: it stands on the evidence of the score's column and spends no budget of
its own. It is a warning and pages nobody, since an estimate sees the inputs and not the truth. Where many inputs have
left the training data it is not even that: nothing is opened, told or closed by it.
"""

from collections.abc import Callable

import msgspec

from drift.cells.cells import SCORE
from drift.incidents.changed_column import Moved
from drift.incidents.closed_window import Scene
from drift.incidents.spelling import IN_REFERENCE, from_to
from drift.incidents.volume import CALM_WINDOWS, opened, told
from drift.performance.outside import OUTSIDE_MAX, outside
from drift.performance.window_metrics import estimate
from drift.reference.tolerances import tolerance
from streams.wire.records import Alert

#: An open incident is told again once the estimated loss is so many times what was told.
FURTHER = 1.25


class Hopes(msgspec.Struct, kw_only=True, eq=False):
    """The open incident, the windows running in which nothing was worse, and the growth of the loss as told last."""

    open: Alert | None = None
    calm: int = 0
    told: float = 0.0

    def take(
        self, scene: Scene, blank: Alert, score: Moved | None, name: Callable[[], str], opens: bool
    ) -> list[Alert]:
        """Take a window; returns what is to be told.

        Parameters
        ----------
        blank
            An alert of this window that says nothing yet.
        score
            What an open incident knows of the score's column, if one names it.
        name
            Names the next incident.
        opens
            Whether the version serves, and may open one.
        """
        growth, text = (0.0, "") if score is None else _growth(scene, score)
        allowed = tolerance(scene.watch, "performance")
        if score is not None and outside(scene.baseline.reference, scene.detector.counts - score.base) > OUTSIDE_MAX:
            # With many rows outside the training data the estimate is not reliable: it opens and closes nothing.
            self.calm = 0
            return []
        self.calm = self.calm + 1 if growth < allowed / 2 else 0
        if self.open is not None and not self.told:
            self.told = growth  # A snapshot from before it was kept.
        further = self.open is not None and 1 + growth > FURTHER * (1 + self.told)
        if score is not None and opens and ((self.open is None and growth > allowed) or further):
            since = {"change_point": score.change_point, "change_point_low": score.low, "change_point_high": score.high}
            blank = msgspec.structs.replace(blank, kind="performance", severity="warning", reach="chat", **since)
            text = f"{text} since {scene.say(score.since)}; that is estimated from the scores alone, not from labels"
            worse = msgspec.structs.replace(blank, worse=True)
            self.open = opened(blank, name(), text) if self.open is None else told(self.open, worse, "update", text)
            self.told = growth
            return [self.open]
        if self.open is None or self.calm < CALM_WINDOWS:
            return []
        return self.close(blank, "the estimated performance is back to that of the reference data")

    def close(self, blank: Alert, why: str) -> list[Alert]:
        """Close the open incident."""
        if self.open is None:
            return []
        last, self.open, self.told = self.open, None, 0.0
        return [
            told(
                last, msgspec.structs.replace(blank, kind="performance", severity="warning", reach="chat"), "close", why
            )
        ]

    def restart(self, ts: int, why: str) -> list[Alert]:
        """Close what is open, at an event time, for a reason that is no window's."""
        return self.close(msgspec.structs.replace(self.open, ts=ts), why) if self.open else []


def _growth(scene: Scene, score: Moved) -> tuple[float, str]:
    """By how much the estimated loss has grown, as a share of the training data's, and how to say it."""
    reference = scene.baseline.reference
    was, now = (estimate(reference, rows) for rows in (reference.of(SCORE), score.stretch(scene)))
    if "accuracy" in was and "accuracy" in now and was["accuracy"] < 1:
        text = f"estimated accuracy fell {from_to('accuracy', was['accuracy'], now['accuracy'], IN_REFERENCE)}"
        return (1 - now["accuracy"]) / (1 - was["accuracy"]) - 1, text
    if was.get("mae") and "mae" in now:
        text = f"the estimated mean absolute error rose {from_to('mae', was['mae'], now['mae'], IN_REFERENCE)}"
        return now["mae"] / was["mae"] - 1, text
    return 0.0, ""
