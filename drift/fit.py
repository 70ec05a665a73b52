"""Fitting a reference: a table in, a frozen profile out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from drift import columns, cut, frames, infer
from drift.cells import PREDICTION, SCORE, Cells
from drift.frames import FrameError
from drift.reference import Reference, Task
from drift.sums import sum_rows
from streams.schema import Feature, FeatureSchema, Kind


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
    def taken(self) -> tuple[str, ...]:
        """Columns that are no features."""
        named = (self.score, self.prediction, self.label)
        return (*self.exclude, *(name for name in named if name is not None))


def fit(table: pa.Table, parts: Parts, features: Sequence[str] | FeatureSchema | None) -> Reference:
    """Profile a table; see `Reference.fit`."""
    if table.num_rows == 0:
        raise FrameError("the table holds no row; a reference needs the training data")
    frames.require(table, [name for name in parts.taken if name not in parts.exclude], "the table")
    if isinstance(features, FeatureSchema):
        schema, notes = features, list[str]()
        frames.require(table, schema.names, "the table")
    else:
        frames.require(table, features or (), "the table")
        schema, notes = infer.infer(table, features, parts.taken, parts.kinds)
    sources, cells = _columns(table, parts, schema)
    notes += [note for column in cells for note in _remarks(column)]
    aligned = pa.Table.from_arrays([table.column(s) for s in sources], names=[c.name for c in cells])
    return _count(_empty(parts, schema, cells, sources, aligned, notes), aligned)


def _columns(table: pa.Table, parts: Parts, schema: FeatureSchema) -> tuple[tuple[str, ...], tuple[Cells, ...]]:
    """Cut every watched column: features in schema order, then score, then predicted class."""
    found = {f.name: _cut(table.column(f.name), f) for f in schema.features}
    sources = list(schema.names)
    score = parts.score or (parts.prediction if parts.task == "regression" else None)
    if score is not None:
        found[SCORE] = Cells(name=SCORE, role="prediction", edges=cut.edges(columns.floats(table.column(score), score)))
        sources.append(score)
    if parts.prediction is not None and parts.task != "regression":
        codes, texts = columns.levels(table.column(parts.prediction))
        named, others, more = cut.levels(_frequencies(codes, texts))
        found[PREDICTION] = Cells(
            name=PREDICTION, role="prediction", kind="categorical", levels=named, others=others, open=more
        )
        sources.append(parts.prediction)
    return tuple(sources), tuple(found.values())


def _cut(column: pa.ChunkedArray, feature: Feature) -> Cells:
    if feature.kind == "numeric":
        values = columns.floats(column, feature.name)
        edges = cut.edges(values, feature.low, feature.high)
        return Cells(name=feature.name, edges=edges, low=feature.low, high=feature.high)
    if feature.kind == "boolean":
        return Cells(name=feature.name, kind="boolean", levels=("false", "true"))
    codes, texts = columns.levels(column)
    named, others, more = cut.levels(_frequencies(codes, texts), feature.categories)
    return Cells(name=feature.name, kind="categorical", levels=named, others=others, open=more)


def _frequencies(codes: np.ndarray, texts: Sequence[str | None]) -> dict[str, int]:
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


def _count(reference: Reference, aligned: pa.Table) -> Reference:
    sums = sum_rows(reference, aligned)
    return replace(reference, counts=sums.cells, moments=sums.moments, extremes=sums.extremes)


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
