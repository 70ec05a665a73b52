"""Design effects learnt from a stream, where the order of the reference's rows is unknown.

Mixed rows look independent, and every hour of a stream with a daily cycle would be an alarm. So the first windows of
the stream, in their own order, show how much windows differ from each other; a shift that all of them share moves
their mean and not their spread, and stays visible. Until then no column opens an incident, but for one whose values
are nearly all null, unseen or infinite: no season does that.
"""

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from drift.dependence import of_blocks
from drift.evidence.detector import Look
from drift.row_order import LEARNING_WINDOWS

if TYPE_CHECKING:
    from drift.yardstick import Yardstick


class Learning(msgspec.Struct, kw_only=True, eq=False):
    """What is being learnt, or was.

    Parameters
    ----------
    windows
        Counts of the first windows, int64 [cells of all columns] each; empty once they have been used.
    effects
        Design effects of the contrasts, float64 [contrasts], once they are known.
    """

    windows: list[np.ndarray] = []
    effects: np.ndarray | None = None

    @property
    def windows_left(self) -> int:
        """Windows that are still waited for."""
        return 0 if self.effects is not None else LEARNING_WINDOWS - len(self.windows)

    def observe(self, yard: "Yardstick", window: np.ndarray) -> bool:
        """Take a window's counts, int64 [cells]; returns whether the design effects are known by it."""
        self.windows = [*self.windows, window]
        if len(self.windows) < LEARNING_WINDOWS:
            return False
        self.effects, self.windows = learnt_design_effects(yard, np.stack(self.windows)), []
        return True


def learnt_design_effects(yard: "Yardstick", windows: np.ndarray) -> np.ndarray:
    """Design effects of windows' counts, int64 [windows, cells]: never below the reference's, float64 [contrasts]."""
    found = []
    for place, cells in enumerate(yard.reference.columns):
        span = yard.cells(place)
        counts = windows[:, span]
        found.append(of_blocks(cells, yard.reference.counts[span], counts, counts.sum(axis=1)))
    learnt: np.ndarray = np.maximum(np.concatenate(found), yard.contrast_effects)
    return learnt


def only(look: Look, columns: np.ndarray) -> Look:
    """Take back the evidence of all columns but some, bool [columns]."""
    return Look(np.where(columns, look.by_start, -np.inf), np.where(columns, look.by_column, -np.inf))
