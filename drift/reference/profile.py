"""The reference: a frozen profile of the data that a model was trained on.

It holds cells, counts and a few numbers a column, never rows. Everything later is compared with it, so it is
immutable, and its id is a hash of its content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

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
    from drift.reference.row_order import Order

Task = Literal["binary", "multiclass", "regression", "embedding"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Reference:
    """A frozen profile: make one with `Reference.fit`.

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
        int64 [score cells, 4]: label sums of the training data, see `drift.performance.sums`; None without labels.
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
    order: "Order" = "file"
    held_out_rows: int = 0
    in_sample: bool = False
    warnings: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        frame: Frame,
        *,
        task: Task | None = None,
        score: str | None = None,
        prediction: str | None = None,
        label: str | None = None,
        features: Sequence[str] | FeatureSchema | None = None,
        exclude: Sequence[str] = (),
        segments: Sequence[str] = (),
        kinds: Mapping[str, Kind] | None = None,
        positive: str | float | bool | None = None,
        classes: Sequence[str] = (),
        time: str | None = None,
        order: "Order | None" = None,
        holdout: Frame | None = None,
        in_sample: bool = False,
    ) -> "Reference":
        """Profile a table: pandas, Arrow, the path of a Parquet or CSV file, or of a folder of Parquet files, or a
        table that stays in its store (`drift.store.table.StoreTable`).

        Parquet is read a column at a time, and a store profiles its features by itself, so the table may be larger
        than memory; the reference is the same to the bit.

        Parameters
        ----------
        task
            ``binary``, ``multiclass``, ``regression`` or None.
        score, prediction, label
            Columns with the model's score (probability or value), its predicted class, and the truth.
        features
            Feature columns, or a whole schema; None takes every column that has no other part to play.
        exclude
            Columns to leave out: identifiers, times.
        segments
            Categorical features whose levels are watched apart.
        kinds
            Kinds that would be inferred wrongly. Inferred: text and categories are categorical, true/false is boolean,
            numbers are numeric, whatever table they come from; segments are never numeric.
        positive
            The class that ``score`` is the probability of. By default the predicted class with the higher scores, else
            the labelled class that has them, else the last one in order; a note says which and why.
        classes
            All classes, as the model spells them; by default those of the table, as predictions spell them, else as
            labels do. Labels that name none of them are no labels (`streams.wire.classes` says what names one).
        time
            Column of event times: rows are sorted by it, and it is no feature. How much rows that lie near each other
            in time have in common is read off that order, so name it wherever there is one.
        order
            ``"file"``: the rows stand in order although a column of times says otherwise; ``"unknown"``: they were
            mixed, and the stream is to show how much windows differ. None finds out by the columns of times.
        holdout
            Rows that the model has not learnt from, with its score, prediction and label: a table as ``frame``. Scores,
            predictions and performance are then those of these rows, and ``frame`` need not have them.
        in_sample
            The model has learnt from the rows of ``frame``, and there are no others: its scores and its performance on
            them are kept and judge nothing. By default the scores are taken to be of rows that it has not learnt from;
            where they look too good for that, a note says so.

        Raises
        ------
        FrameError, SchemaError
            The table lacks a column, holds no row, or contradicts itself.

        >>> import pandas as pd
        >>> ref = Reference.fit(pd.DataFrame({"age": [31.5, 45.2, 18.0], "city": ["Rome", "Oslo", None]}))
        >>> [(c.name, c.kind, c.size) for c in ref.columns], ref.rows
        ([('age', 'numeric', 10), ('city', 'categorical', 4)], 3)
        """
        from drift.reference import fit, row_order
        from drift.reference.fit_outputs import Parts

        parts = Parts(
            task=task,
            score=score,
            prediction=prediction,
            label=label,
            exclude=(*exclude, *([time] if time else ())),
            segments=tuple(segments),
            kinds=dict(kinds or {}),
            positive=positive,
            classes=tuple(classes),
            in_sample=in_sample,
        )
        named = features.names if isinstance(features, FeatureSchema) else features or ()
        if time is not None and time in (*named, *parts.named):
            raise frames.FrameError(f"{time!r} orders the rows, so it is no feature; name another column as time=")
        if holdout is not None and in_sample:
            raise frames.FrameError("holdout= has rows that the model has not learnt from; leave in_sample out")
        kinds_known = fit.kinds_of(parts, features)
        rows = row_order.ordered_rows(frames.scan(frame, kinds_known), time, order)
        held_out = None
        if holdout is not None:
            scanned = frames.scan(holdout, kinds_known)
            has_time = time is not None and time in scanned.column_names
            held_out = row_order.ordered_rows(scanned, time if has_time else None, order).table
        fitted = fit.fit(rows.table, parts, features, held_out)
        notes_of_order = tuple(filter(None, [rows.note]))
        warnings = (*(notes_of_order if rows.order == "unknown" else ()), *fitted.warnings)
        return replace(fitted, order=rows.order, notes=(*notes_of_order, *fitted.notes), warnings=warnings)

    def __repr__(self) -> str:
        from drift.reference.text import summary

        return summary(self)

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Reference":
        """Read what `to_bytes` wrote (``reference.arrow`` of a model package)."""
        from drift.reference import file as reference_file

        return reference_file.decode(blob)

    def to_bytes(self) -> bytes:
        """Write the reference as an Arrow file, a row a column."""
        from drift.reference import file as reference_file

        return reference_file.encode(self)

    @cached_property
    def id(self) -> str:
        """Hash of the content, 32 hexadecimal digits."""
        from drift.reference import file as reference_file

        return reference_file.digest(self)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Place of each column's first cell in `counts`, int64 [columns + 1]; the last entry is their length."""
        return np.concatenate([[0], np.cumsum([cells.size for cells in self.columns])]).astype(np.int64)

    @cached_property
    def expected(self) -> np.ndarray:
        """What later rows are compared with, int64 as `counts`: as they are, but for what named levels owe to luck."""
        found = self.counts.copy()
        for place in np.flatnonzero(self.selection_bias).tolist():
            cells, own = self.columns[place], found[self.offsets[place] : self.offsets[place + 1]]
            assert cells.other is not None, cells.name
            named = own[: len(cells.levels)]
            kept = np.rint(np.cumsum(named) * (1 - self.selection_bias[place] / named.sum())).astype(np.int64)
            own[cells.other] += named.sum() - kept[-1]
            named[:] = np.diff(kept, prepend=0)
        return found

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
        for place, cells in enumerate(self.columns):
            if cells.name == name:
                return place
        raise KeyError(f"the reference has no column {name!r}")

    def of(self, name: str, flat: np.ndarray | None = None) -> np.ndarray:
        """Counts of one column, int64 [its cells], out of a flat count array (the reference's own by default)."""
        place = self.place(name)
        return (self.counts if flat is None else flat)[self.offsets[place] : self.offsets[place + 1]]

    def alone(self, place: int) -> "Reference":
        """Make the reference of one column by itself: its cells, counts and fixed point."""
        span, one = slice(self.offsets[place], self.offsets[place + 1]), slice(place, place + 1)
        return replace(
            self,
            columns=self.columns[one],
            sources=self.sources[one],
            counts=self.counts[span],
            moments=self.moments[one],
            extremes=self.extremes[one],
            centre=self.centre[one],
            scale=self.scale[one],
            spread=self.spread[one],
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
