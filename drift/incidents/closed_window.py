"""A closed window, as the rules of incidents see it: whose it is, its interval, and what was measured in it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import msgspec
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


class MonitorContext(msgspec.Struct, frozen=True, kw_only=True):
    """Whose windows close, and what holds for them now.

    Parameters
    ----------
    model, version, segment, epoch, watch
        The model version and segment, the route that holds, and how it says to watch.
    reference
        Id of the version's reference.
    opens
        Whether the version serves, and so may open incidents.
    last
        Nothing more is expected: a window may hold less than it should.
    spell
        Writes an event time in texts.
    at_ms
        When the message came that is judged now, by Kafka's clock; 0 where that is not known.
    """

    model: str
    version: str
    segment: str = ""
    epoch: int
    watch: Watch
    reference: str = ""
    opens: bool = True
    last: bool = False
    spell: Callable[[int], str] = rfc3339
    at_ms: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class ClosedWindow:
    """An interval of event time (ms, end excluded) that is over."""

    context: MonitorContext
    start: int
    end: int

    @property
    def watch(self) -> Watch:
        """How the model is watched."""
        return self.context.watch

    @property
    def spell(self) -> Callable[[int], str]:
        """Writes an event time in texts."""
        return self.context.spell

    @classmethod
    def of(cls, window: "ClosedWindow", **measured: Any) -> Self:
        """The same window, with what was measured in it."""
        shared: Mapping[str, Any] = {"context": window.context, "start": window.start, "end": window.end}
        return cls(**shared, **measured)


@dataclass(frozen=True, eq=False, kw_only=True)
class EvidenceWindow(ClosedWindow):
    """A closed window with the evidence that its columns have changed.

    Parameters
    ----------
    baseline
        What its rows are compared with.
    detector, look
        The evidence, this window included.
    counts
        Its rows in each cell of all columns, int64 [cells].
    """

    baseline: Baseline
    detector: Detector
    look: Look
    counts: np.ndarray

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
