"""The profile: the training rows, counted over frozen cells.

It is all that counting, statistics, evidence and performance know of a reference; how one is made, read and written is
`drift.reference.reference`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import pyarrow as pa

from drift.cells import frames
from drift.cells.cells import PREDICTION, SCORE, Cells
from drift.cells.columns import refuse_other_than_truths
from drift.cells.frames import Frame
from streams.wire.classes import OPPOSITE, Classes
from streams.wire.schema import FeatureSchema, Kind

if TYPE_CHECKING:
    from drift.cells.kernel import Grid

Task = Literal["binary", "multiclass", "regression", "embedding"]
#: ``time``: a column of times puts them in order; ``file``: they are taken as they stand; ``unknown``: they were mixed.
Order = Literal["time", "file", "unknown"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Profile:
    """What a reference knows of the training data: cells, counts and a few numbers a column.

    Parameters
    ----------
    task
        What the model does; None where only its columns are watched.
    rows
        Rows of the training data.
    schema
        The features, their kinds and known levels.
    columns
        Cells of every feature in schema order, then of the score and of the predicted class where there are any.
    sources
        Name of each column in the user's own tables (the score may be called ``p`` there).
    label, positive
        Name of the label in the user's tables; the label that a binary score is the probability of.
    segments
        Features whose levels are watched apart, too.
    counts
        int64 [cells of all columns]: the training rows in each cell, column after column.
    selection_bias
        int64 [columns]: rows by which the named levels are overcounted, see `drift.cells.binning.selection_bias`.
    moments, extremes
        int64 and float32 [columns, 2]: see `drift.cells.sums.Sums`.
    centre, scale
        float64 [columns]: frozen fixed point. Scale is a power of two, so that ``(x - m) / s * 2^12`` rounds the
        same in any order of operations.
    spread
        float64 [columns]: robust spread, IQR / 1.349, else the standard deviation, else 1. Wasserstein's unit.
    design_effects
        float64 [contrasts]: how much the rows' dependence inflates each contrast's variance (1 = independent).
    labels
        int64 [score cells, 4]: label sums of the training data (`drift.performance.label_sums`); None without labels.
    positive_share
        float64 [score cells]: share of rows predicted positive (binary models with score and prediction), else None.
    classes
        Every class that a label or a prediction may name, as the model spells them; empty where they are not known.
    performance
        The model's figures on the training data, by metric.
    loss_design_effect
        How much the rows' dependence inflates the variance of the model's mean loss (1 = independent).
    checks
        Columns whose own first and second half differ as if they had drifted.
    notes
        What was inferred or left out, one sentence each.
    order
        Order in which the rows were taken, and dependence read off them; see `drift.reference.row_order`. Where it is
        unknown, the first windows of a stream show how much windows differ.
    held_out_rows
        Rows that the model has not learnt from, of which score, prediction, label sums and performance are then; 0
        where they are those of the table's own rows.
    in_sample
        The model has learnt from the rows whose scores these are: neither scores nor losses are judged by them, and
        no performance is estimated.
    warnings
        The notes that ask for something to be done.
    """

    task: Task | None
    rows: int
    schema: FeatureSchema
    columns: tuple[Cells, ...]
    sources: tuple[str, ...]
    counts: np.ndarray
    selection_bias: np.ndarray
    moments: np.ndarray
    extremes: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    spread: np.ndarray
    design_effects: np.ndarray
    label: str | None = None
    positive: str | None = None
    segments: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    positive_share: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    performance: Mapping[str, float] = field(default_factory=dict)
    loss_design_effect: float = 1.0
    checks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    order: Order = "file"
    held_out_rows: int = 0
    in_sample: bool = False
    warnings: tuple[str, ...] = ()

    @cached_property
    def offsets(self) -> np.ndarray:
        """Place of each column's first cell in `counts`, int64 [columns + 1]; the last entry is their length."""
        return np.concatenate([[0], np.cumsum([cells.size for cells in self.columns])]).astype(np.int64)

    @cached_property
    def expected(self) -> np.ndarray:
        """What later rows are compared with, int64 as `counts`: as they are, but for what named levels owe to luck."""
        counts = self.counts.copy()
        for n in np.flatnonzero(self.selection_bias).tolist():
            cells, column_counts = self.columns[n], counts[self.offsets[n] : self.offsets[n + 1]]
            assert cells.other is not None, cells.name
            named = column_counts[: len(cells.levels)]
            kept = np.rint(np.cumsum(named) * (1 - self.selection_bias[n] / named.sum())).astype(np.int64)
            column_counts[cells.other] += named.sum() - kept[-1]
            named[:] = np.diff(kept, prepend=0)
        return counts

    @cached_property
    def grids(self) -> "tuple[Grid, ...]":
        """Look-up grid of each column, for counting."""
        from drift.cells.kernel import Grid

        return tuple(Grid.over(cells.bounds) for cells in self.columns)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Kind of each column by its name in the user's own tables: what a CSV file is read by."""
        return {source: cells.kind for source, cells in zip(self.sources, self.columns, strict=True)}

    @property
    def score(self) -> Cells | None:
        """Cells of the score, if it is watched."""
        return next((cells for cells in self.columns if cells.name == SCORE), None)

    @property
    def prediction(self) -> Cells | None:
        """Cells of the predicted class, if it is watched."""
        return next((cells for cells in self.columns if cells.name == PREDICTION), None)

    @property
    def expected_performance(self) -> Mapping[str, float]:
        """The figures that later ones may be compared with: none of rows that the model has learnt from."""
        return {} if self.in_sample else self.performance

    @property
    def unjudged(self) -> str:
        """Why neither scores nor losses are judged; empty where they are."""
        if not self.in_sample or all(cells.role == "feature" for cells in self.columns):
            return ""
        return (
            "scores and performance are not judged, nor is performance estimated: the reference has them of rows that "
            "the model has learnt from, and every honest day would look like a fall beside these; give rows that it "
            "has not seen (--holdout FILE, holdout=), or say that these are such rows (--data-is-held-out, "
            "in_sample=False)"
        )

    @cached_property
    def class_reader(self) -> Classes:
        """Reads the class that a label or a prediction names; without `classes` it takes any text for a class, but for
        a binary model whose two classes are known otherwise.
        """
        if self.classes:
            return Classes(self.classes)
        cells = self.prediction
        seen = () if cells is None else (*cells.levels, *cells.others)
        names = tuple(dict.fromkeys((*seen, *filter(None, [self.positive]))))
        if self.task == "binary" and len(names) == 1:
            names = (*names, *filter(None, [OPPOSITE.get(names[0])]))
        return Classes(names, open=self.task != "binary" or len(names) != 2)

    def place(self, name: str) -> int:
        """Position of a column by name."""
        for n, cells in enumerate(self.columns):
            if cells.name == name:
                return n
        raise KeyError(f"the reference has no column {name!r}")

    def of(self, name: str, flat: np.ndarray | None = None) -> np.ndarray:
        """Counts of one column, int64 [its cells], out of a flat count array (the reference's own by default)."""
        n = self.place(name)
        return (self.counts if flat is None else flat)[self.offsets[n] : self.offsets[n + 1]]

    def alone(self, place: int) -> Self:
        """Make the profile of one column by itself: its cells, counts and fixed point."""
        span, column = slice(self.offsets[place], self.offsets[place + 1]), slice(place, place + 1)
        return replace(
            self,
            columns=self.columns[column],
            sources=self.sources[column],
            counts=self.counts[span],
            moments=self.moments[column],
            extremes=self.extremes[column],
            centre=self.centre[column],
            scale=self.scale[column],
            spread=self.spread[column],
            design_effects=np.zeros(0),
        )

    def align(self, frame: Frame) -> pa.Table:
        """Take this reference's columns out of a user's table, under the names that cells have.

        Raises
        ------
        FrameError
            A column is missing, or one of truth values holds something else.
        """
        table = frames.read(frame, self.kinds)
        frames.require(table, self.sources, "the table")
        for source, cells in zip(self.sources, self.columns, strict=True):
            if cells.kind == "boolean":
                refuse_other_than_truths(table.column(source), source)
        return pa.Table.from_arrays(
            [table.column(source) for source in self.sources], names=[cells.name for cells in self.columns]
        )
