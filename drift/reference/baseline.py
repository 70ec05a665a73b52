"""The baseline: what a reference is measured with, laid out once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drift.cells.cells import SCORE
from drift.evidence.budget import performance_share, shares
from drift.evidence.contrasts import Contrasts, contrasts
from drift.evidence.design_effects import of_column
from drift.performance.losses import Loss, losses
from drift.reference.column_statistics import ColumnComparison
from drift.reference.new_normal import NewNormal
from drift.reference.reference import Reference
from drift.reference.tolerances import excluded, tolerance
from drift.statistics import Effect, effect
from streams.wire.records import Watch


@dataclass(frozen=True, eq=False)
class Baseline:
    """A reference with its contrasts and design effects.

    Parameters
    ----------
    reference
        What windows are compared with.
    learnt
        Design effects that a stream has shown, float64 [contrasts]; None takes the reference's own.
    trained
        The training data's reference, where another is laid over it: the contrasts are its.
    """

    reference: Reference
    learnt: np.ndarray | None = None
    trained: Reference | None = None

    def widened(self, effects: np.ndarray | None) -> "Baseline":
        """Measure by design effects that a stream has shown; the same ones give the same baseline."""
        if effects is None:
            return self
        key = effects.tobytes()
        if key not in self._widened:
            self._widened[key] = Baseline(self.reference, effects, self.trained)
        return self._widened[key]

    @cached_property
    def _widened(self) -> dict[bytes, "Baseline"]:
        return {}

    def overlaid(self, normal: NewNormal) -> "Baseline":
        """Measure by what has been accepted as usual; the same gives the same baseline."""
        if normal.key not in self._overlaid:
            trained = self.trained or self.reference
            self._overlaid[normal.key] = Baseline(normal.over(trained), self.learnt, trained)
        return self._overlaid[normal.key]

    @cached_property
    def _overlaid(self) -> dict[str, "Baseline"]:
        return {}

    @cached_property
    def contrasts(self) -> Contrasts:
        """The contrasts of all columns."""
        known = self.trained or self.reference
        return contrasts(known.columns, known.counts)

    @cached_property
    def comparison(self) -> ColumnComparison:
        """The reference laid out to describe windows by."""
        return ColumnComparison(self.reference, self.design_effects)

    @cached_property
    def spread(self) -> np.ndarray:
        """Root of each contrast's design effect, float64 [contrasts]."""
        root: np.ndarray = np.sqrt(self.contrast_effects)
        return root

    @cached_property
    def design_effects(self) -> np.ndarray:
        """Design effect of each column's effect, [columns]."""
        rows, effects = self.reference.expected, self.contrast_effects
        # A column's own rows: the score's may be held-out ones, and fewer.
        columns = range(len(self.reference.columns))
        return np.array([of_column(self.contrasts, column, rows[self.cells(column)], effects) for column in columns])

    @cached_property
    def contrast_effects(self) -> np.ndarray:
        """Design effect of each contrast, float64 [contrasts]."""
        held = self.reference.design_effects if self.learnt is None else self.learnt
        assert len(held) in (0, len(self.contrasts)), (len(held), len(self.contrasts))
        return held if len(held) else np.ones(len(self.contrasts))

    def shares(self, watch: Watch) -> np.ndarray:
        """Share of the budget of false alarms of each column, float64 [columns].

        Scores of rows that the model has learnt from are no sample of those to come: they have no share, or the promise
        would be broken.
        """
        columns, budget = self.reference.columns, watch.budget
        without = self._without(watch)
        if not self.reference.in_sample:
            return shares(columns, budget, self.performance_share(watch), without)
        features = np.array([cells.role == "feature" for cells in columns])
        budget = {**budget, "prediction": 0.0}
        feature_shares: np.ndarray = shares(columns, budget, self.performance_share(watch), without)
        return feature_shares * features  # type: ignore[no-any-return]

    def performance_share(self, watch: Watch) -> float:
        """Share of the budget for performance: none where no loss can be judged."""
        without = self._without(watch)
        judged = [cells for cells in self.reference.columns if cells.name not in without]
        return performance_share(judged, watch.budget) if self.losses(watch) else 0.0

    def _without(self, watch: Watch) -> set[str]:
        """Columns that are no evidence, by what the route says."""
        return {cells.name for cells in self.reference.columns if excluded(watch, cells.name)}

    def losses(self, watch: Watch, design_effect: float = 1.0) -> list[Loss]:
        """Losses that the model is judged by, the headline first; none without labels in the training data.

        ``design_effect`` is what a stream has shown, where it is more than the reference's.
        """
        allowed = tolerance(watch, "performance")
        if design_effect > self.reference.loss_design_effect:
            return losses(self.reference, allowed, design_effect)
        if allowed not in self._losses:
            self._losses[allowed] = losses(self.reference, allowed)
        return self._losses[allowed]

    @cached_property
    def _losses(self) -> dict[float, list[Loss]]:
        return {}

    def cells(self, column: int) -> slice:
        """Where a column's cells lie in a flat count array."""
        return slice(int(self.reference.offsets[column]), int(self.reference.offsets[column + 1]))

    @cached_property
    def score(self) -> slice | None:
        """Where the score's cells lie in a flat count array, if it is watched."""
        return None if self.reference.score is None else self.cells(self.reference.place(SCORE))

    def effect(self, column: int, current: np.ndarray, base: np.ndarray | None = None) -> Effect:
        """Effect of a column's counts against the reference, or against other counts of the same cells.

        Parameters
        ----------
        column
            Position of the column.
        current
            Counts of the column's cells, int64 [its cells].
        base
            What they are compared with, int64 [its cells]; the reference's by default.
        """
        was = self.reference.expected[self.cells(column)] if base is None else base
        return effect(self.reference.columns[column].kind, was, current, float(self.design_effects[column]))
