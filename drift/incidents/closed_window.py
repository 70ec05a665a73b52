"""The scene: all that a rule about incidents may look at when a window has closed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drift.evidence import Detector, Look
from drift.incidents.spelling import rfc3339
from drift.reference.baseline import Baseline
from drift.reference.tolerances import column_tolerance
from streams.wire.records import Watch

#: Evidence is written with at most this logarithm: JSON has no infinity.
LOG_MAX = 690.0


def evidence_of(log_evidence: float) -> float:
    """E-value of its logarithm, as it is written.

    >>> evidence_of(0.0), evidence_of(1e6) < math.inf
    (1.0, True)
    """
    return math.exp(min(log_evidence, LOG_MAX))


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A closed window with its evidence.

    Parameters
    ----------
    model, version, segment, epoch
        Whose window it is, and the route that holds.
    baseline, watch
        The reference and how the model is watched.
    detector, look
        The evidence, this window included.
    start, end, window
        The window's event time in ms, and its counts, int64 [cells].
    say
        Spells an event time in texts.
    """

    model: str
    version: str
    segment: str
    epoch: int
    baseline: Baseline
    watch: Watch
    detector: Detector
    look: Look
    start: int
    end: int
    window: np.ndarray
    say: Callable[[int], str] = rfc3339

    @cached_property
    def weighted(self) -> np.ndarray:
        """Log of each column's evidence in windows: its share of the budget times its e-value, [columns]."""
        with np.errstate(divide="ignore"):
            weighted: np.ndarray = self.look.by_column + np.log(self.baseline.shares(self.watch))
        return weighted

    @property
    def log_total(self) -> float:
        """Log of the evidence of all columns together."""
        return float(np.logaddexp.reduce(self.weighted))

    @property
    def log_budget(self) -> float:
        """Log of the windows that may pass between false incidents."""
        return math.log(self.watch.false_alarm_every)

    @property
    def number(self) -> int:
        """Number of this window."""
        return self.detector.windows - 1

    def tolerance(self, column: int) -> float:
        """Material effect of a column, in the unit of its statistic."""
        cells = self.baseline.reference.columns[column]
        return column_tolerance(self.watch, cells.name, "ks" if cells.kind == "numeric" else "tvd")
