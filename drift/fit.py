"""Fitting a reference: a table in, a frozen profile out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from drift import columns, cut, frames, halves, infer
from drift.cells import PREDICTION, SCORE, Cells
from drift.dependence import design_effects
from drift.frames import FrameError
from drift.performance import classes
from drift.performance.figures import realised
from drift.performance.label_sums import label_sums
from drift.reference import Reference, Task
from drift.sums import indices, sum_rows
from streams.schema import Feature, FeatureSchema, Kind

#: So many cells make a counts message of 900 kB.
CELLS_MAX = 100_000


class Parts(NamedTuple):
    """What the columns of a table are to a model; see `Reference.fit`."""

    task: Task | None
    score: str | None
    prediction: str | None
    label: str | None
    exclude: tuple[str, ...]
    segments: tuple[str, ...]
    kinds: Mapping[str, Kind]
    positive: str | None

    @property
    def named(self) -> tuple[str, ...]:
        """Columns that are what the model said, or the truth."""
        return tuple(name for name in (self.score, self.prediction, self.label) if name is not None)


def fit(table: pa.Table, parts: Parts, features: Sequence[str] | FeatureSchema | None) -> Reference:
    """Profile a table; see `Reference.fit`."""
    if table.num_rows == 0:
        raise FrameError("the table holds no row; a reference needs the training data")
    frames.require(table, parts.named, "the table")
    parts = _complete(table, parts)
    if isinstance(features, FeatureSchema):
        schema, notes = features, list[str]()
        frames.require(table, schema.names, "the table")
    else:
        frames.require(table, features or (), "the table")
        schema, notes = infer.infer(table, features, (*parts.exclude, *parts.named), parts.kinds)
    _check_segments(schema, parts.segments)
    watched = [*((_cut(table.column(f.name), f), f.name) for f in schema.features), *_said(table, parts)]
    cells, sources = tuple(c for c, _ in watched), tuple(source for _, source in watched)
    if sum(c.size for c in cells) > CELLS_MAX:
        raise FrameError(f"{len(cells)} columns make more than {CELLS_MAX} cells; watch fewer columns")
    aligned = pa.Table.from_arrays([table.column(s) for s in sources], names=[c.name for c in cells])
    notes += [note for column in cells for note in _remarks(column)]
    reference = _counted(_empty(parts, schema, cells, sources, aligned, notes), aligned)
    return _labelled(reference, table, parts)


def _complete(table: pa.Table, parts: Parts) -> Parts:
    """Fill in what follows: a regression's prediction is its score; a binary model has a positive class."""
    if parts.task == "regression":
        return parts._replace(score=parts.score or parts.prediction, prediction=None)
    if parts.task != "binary":
        return parts
    named = [table.column(name) for name in (parts.label, parts.prediction) if name is not None]
    seen = [text for column in named for text in _frequencies(column)]
    return parts._replace(positive=classes.positive_class(seen, parts.positive)) if seen else parts


def _check_segments(schema: FeatureSchema, segments: Sequence[str]) -> None:
    for name in segments:
        if name not in schema.names or schema[name].kind == "numeric":
            raise FrameError(f"segment {name!r} is no categorical feature; segments are made of levels")


def _said(table: pa.Table, parts: Parts) -> list[tuple[Cells, str]]:
    """Cells of what the model said: score, then predicted class, each with its name in the table."""
    found = []
    if parts.score is not None:
        scores = columns.floats(table.column(parts.score), parts.score)
        yes = _said_yes(table, parts)
        at = None if yes is None else classes.threshold(scores, yes)
        found.append((Cells(name=SCORE, role="prediction", edges=cut.edges(scores, at=at)), parts.score))
    if parts.prediction is not None:
        named, others, more = cut.levels(_frequencies(table.column(parts.prediction)))
        cells = Cells(name=PREDICTION, role="prediction", kind="categorical", levels=named, others=others, open=more)
        found.append((cells, parts.prediction))
    return found


def _said_yes(table: pa.Table, parts: Parts) -> np.ndarray | None:
    """Rows whose predicted class is the positive one."""
    if parts.task != "binary" or parts.prediction is None or parts.positive is None:
        return None
    codes, texts = columns.levels(table.column(parts.prediction))
    yes: np.ndarray = np.array([*(text == parts.positive for text in texts), False])[codes]
    return yes


def _cut(column: pa.ChunkedArray, feature: Feature) -> Cells:
    if feature.kind == "numeric":
        values = columns.floats(column, feature.name)
        edges = cut.edges(values, feature.low, feature.high)
        return Cells(name=feature.name, edges=edges, low=feature.low, high=feature.high)
    if feature.kind == "boolean":
        return Cells(name=feature.name, kind="boolean", levels=("false", "true"))
    named, others, more = cut.levels(_frequencies(column), feature.categories)
    return Cells(name=feature.name, kind="categorical", levels=named, others=others, open=more)


def _frequencies(column: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each level that occurs."""
    codes, texts = columns.levels(column)
    times = np.bincount(codes[codes >= 0], minlength=len(texts))
    found: dict[str, int] = {}
    for text, n in zip(texts, times, strict=True):
        if text is not None and n:
            found[text] = found.get(text, 0) + int(n)
    return found


def _empty(
    parts: Parts,
    schema: FeatureSchema,
    cells: tuple[Cells, ...],
    sources: tuple[str, ...],
    aligned: pa.Table,
    notes: Sequence[str],
) -> Reference:
    """Make the reference that has cells and fixed point, but no counts yet."""
    size = len(cells)
    fixed = np.array([_fixed_point(aligned.column(column.name), column) for column in cells]).reshape(size, 3)
    return Reference(
        task=parts.task,
        rows=aligned.num_rows,
        schema=schema,
        columns=cells,
        sources=sources,
        counts=np.zeros(sum(column.size for column in cells), np.int64),
        moments=np.zeros((size, 2), np.int64),
        extremes=np.full((size, 2), np.nan, np.float32),
        centre=fixed[:, 0].copy(),
        scale=fixed[:, 1].copy(),
        spread=fixed[:, 2].copy(),
        design_effects=np.ones(0),
        label=parts.label,
        positive=parts.positive,
        segments=parts.segments,
        notes=tuple(notes),
    )


def _fixed_point(column: pa.ChunkedArray, cells: Cells) -> tuple[float, float, float]:
    """Centre, scale and spread of a column."""
    if cells.kind != "numeric":
        return 0.0, 1.0, 1.0
    values = columns.floats(column, cells.name)
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return 0.0, 1.0, 1.0
    low, middle, high = np.quantile(finite, (0.25, 0.5, 0.75), method="inverted_cdf")
    spread = float((high - low) / 1.349 or finite.std() or 1.0)
    return float(middle), float(2.0 ** np.round(np.log2(spread))), spread


def _counted(reference: Reference, aligned: pa.Table) -> Reference:
    """Count the rows, find out how much neighbours have in common, and check the halves against each other."""
    sums = sum_rows(reference, aligned)
    placed = indices(reference.columns, aligned)
    counted = replace(
        reference,
        counts=sums.cells,
        moments=sums.moments,
        extremes=sums.extremes,
        design_effects=design_effects(reference.columns, placed),
    )
    return replace(counted, checks=halves.failed(counted, placed))


def _labelled(reference: Reference, table: pa.Table, parts: Parts) -> Reference:
    """Add what the labels say: sums, figures, and which scores are predicted positive."""
    if reference.score is None or parts.task not in ("binary", "multiclass", "regression"):
        if parts.label is None:
            return reference
        return replace(reference, notes=(*reference.notes, "no performance: labels need a task and a score"))
    yes = _said_yes(table, parts)
    if yes is not None:
        cells = reference.score.index(table.column(parts.score))
        reference = replace(reference, positive_share=classes.positive_share(cells, yes, reference.score.size))
    if parts.label is None:
        return reference
    said = table.column(parts.prediction) if parts.prediction is not None else None
    sums = label_sums(reference, table.column(parts.score), said, table.column(parts.label))
    figures = {metric: figure.value for metric, figure in sorted(realised(reference, sums).items())}
    return replace(reference, labels=sums, performance=figures)


def _remarks(cells: Cells) -> list[str]:
    notes = []
    if cells.open:
        notes.append(
            f"{cells.name!r} has more than {cut.KNOWN_LEVELS_MAX} levels: one that is not listed counts as 'other'; "
            "if it is an identifier, exclude it"
        )
    alike = infer.twins((*cells.levels, *cells.others)) if cells.kind == "categorical" else []
    if alike:
        notes.append(f"{cells.name!r} has levels that differ only in case or spaces, kept apart: {alike[:5]}")
    return notes
