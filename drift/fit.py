"""Fitting a reference: a table in, a frozen profile out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow.types as pt

from drift import columns, cut, frames, halves, infer
from drift.cells import PREDICTION, SCORE, Cells
from drift.contrasts import contrasts
from drift.dependence import block_rows, design_effects, of_blocks
from drift.frames import Columns, FrameError
from drift.performance import classes
from drift.performance.figures import realised
from drift.performance.label_sums import label_sums, row_losses
from drift.performance.positive import Separation, separation
from drift.profiles import Held, Profile, fixed_point, frequencies, profile
from drift.reference import Reference, Task
from streams.schema import Feature, FeatureSchema, Kind
from streams.wire.classes import Classes

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
    positive: str | float | bool | None
    classes: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Columns that are what the model said, or the truth."""
        return tuple(name for name in (self.score, self.prediction, self.label) if name is not None)


def kinds_of(parts: Parts, features: Sequence[str] | FeatureSchema | None) -> dict[str, Kind]:
    """Kinds that are known before the table is read."""
    if isinstance(features, FeatureSchema):
        return {feature.name: feature.kind for feature in features.features} | dict(parts.kinds)
    return dict(parts.kinds)


def fit(table: Columns, parts: Parts, features: Sequence[str] | FeatureSchema | None) -> Reference:
    """Profile a table; see `Reference.fit`."""
    if table.num_rows == 0:
        raise FrameError("the table holds no row; a reference needs the training data")
    frames.require(table, parts.named, "the table")
    parts, remarks = _complete(table, parts)
    if isinstance(features, FeatureSchema):
        schema, notes = features, list[str]()
        frames.require(table, schema.names, "the table")
    else:
        frames.require(table, [*(features or ()), *parts.segments], "the table")
        numbered = [name for name in parts.segments if pt.is_integer(profile(table, name).type)]
        kinds: dict[str, Kind] = dict.fromkeys(numbered, "categorical")
        schema, notes = infer.infer(table, features, (*parts.exclude, *parts.named), kinds | dict(parts.kinds))
    _check_segments(schema, parts.segments)
    nothing = _nothing(parts, schema, table.num_rows, (*notes, *remarks))
    profiles = [_profile(nothing, *_cut(column, f), f.name, column) for f, column in _each(table, schema.features)]
    said = _said(table, parts)
    profiles += [_profile(nothing, cells, bias, name, Held(table.column(name), name)) for cells, bias, name in said]
    return _labelled(_side_by_side(nothing, profiles), table, parts)


def _each(table: Columns, features: Sequence[Feature]) -> Iterator[tuple[Feature, Profile]]:
    """One column after the other: no more than one need be in memory."""
    for feature in features:
        yield feature, profile(table, feature.name)


def _complete(table: Columns, parts: Parts) -> tuple[Parts, tuple[str, ...]]:
    """Fill in what follows: a regression's prediction is its score, the classes, the positive one of a binary model."""
    if parts.task == "regression":
        return parts._replace(score=parts.score or parts.prediction, prediction=None, classes=()), ()
    if parts.task not in ("binary", "multiclass"):
        return parts._replace(positive=None, classes=()), ()
    predicted, labelled = (
        {} if name is None else frequencies(profile(table, name)) for name in (parts.prediction, parts.label)
    )
    names, notes = classes.classes_of(parts.classes, predicted, labelled)
    if parts.task == "multiclass":
        # Predictions alone do not tell of which classes labels may be.
        return parts._replace(positive=None, classes=names if labelled or parts.classes else ()), notes
    found = classes.settle_binary(names, parts.positive, _separations(table, parts, names))
    return parts._replace(positive=found.positive, classes=found.classes), (*notes, *found.notes)


def _separations(table: Columns, parts: Parts, names: Sequence[str]) -> dict[str, Separation | None]:
    """How the scores of rows predicted, and labelled, as the last of two classes lie among the others'."""
    if parts.score is None or len(names) != 2:
        return {}
    scores = columns.floats(table.column(parts.score), parts.score)
    reader, found = Classes(tuple(names)), {}
    for what, column in (("predicted", parts.prediction), ("labelled", parts.label)):
        if column is not None:
            codes, texts = columns.levels(table.column(column))
            named = np.array([*reader.of_all(texts), None], dtype=object)[codes]
            found[what] = separation(scores, named == names[1], named == names[0])
    return found


def _check_segments(schema: FeatureSchema, segments: Sequence[str]) -> None:
    for name in segments:
        if name not in schema.names or schema[name].kind == "numeric":
            raise FrameError(f"segment {name!r} is no categorical feature; segments are made of levels")


def _said(table: Columns, parts: Parts) -> list[tuple[Cells, int, str]]:
    """Cells of what the model said as `_cut` gives them: score, then predicted class, with their names in the table."""
    found = []
    if parts.score is not None:
        scores = columns.floats(table.column(parts.score), parts.score)
        yes = _said_yes(table, parts)
        at = None if yes is None else classes.threshold(scores, yes)
        found.append((Cells(name=SCORE, role="prediction", edges=cut.edges(scores, at=at)), 0, parts.score))
    if parts.prediction is not None:
        seen = _in_classes(frequencies(profile(table, parts.prediction)), parts.classes)
        named, others, more = cut.levels(seen, closed=True)
        cells = Cells(name=PREDICTION, role="prediction", kind="categorical", levels=named, others=others, open=more)
        found.append((cells, cut.selection_bias(seen, named, others), parts.prediction))
    return found


def _in_classes(seen: Mapping[str, int], names: tuple[str, ...]) -> dict[str, int]:
    """Rows of each class, whatever its texts; of each text that names none."""
    found: dict[str, int] = {}
    for text, rows in seen.items():
        name = Classes(names).of(text) or text
        found[name] = found.get(name, 0) + rows
    return found


def _said_yes(table: Columns, parts: Parts) -> np.ndarray | None:
    """Rows whose predicted class is the positive one."""
    if parts.task != "binary" or parts.prediction is None or parts.positive is None:
        return None
    codes, texts = columns.levels(table.column(parts.prediction))
    named = Classes(parts.classes, open=True).of_all(texts)
    yes: np.ndarray = np.array([*(name == parts.positive for name in named), False])[codes]
    return yes


def _cut(column: Profile, feature: Feature) -> tuple[Cells, int]:
    """Cells of a feature, and the `Reference.selection_bias` of their levels."""
    if feature.kind == "numeric":
        edges = cut.edges_of(column.ordered(), feature.low, feature.high)
        return Cells(name=feature.name, edges=edges, low=feature.low, high=feature.high), 0
    if feature.kind == "boolean":
        return Cells(name=feature.name, kind="boolean", levels=("false", "true")), 0
    seen = frequencies(column)
    named, others, more = cut.levels(seen, feature.categories)
    cells = Cells(name=feature.name, kind="categorical", levels=named, others=others, open=more)
    return cells, cut.selection_bias(seen, named, others)


def _nothing(parts: Parts, schema: FeatureSchema, rows: int, notes: Sequence[str]) -> Reference:
    """Make the reference that has no column yet."""
    return Reference(
        task=parts.task,
        rows=rows,
        schema=schema,
        columns=(),
        sources=(),
        counts=np.zeros(0, np.int64),
        selection_bias=np.zeros(0, np.int64),
        moments=np.zeros((0, 2), np.int64),
        extremes=np.zeros((0, 2), np.float32),
        centre=np.zeros(0),
        scale=np.zeros(0),
        spread=np.zeros(0),
        design_effects=np.zeros(0),
        label=parts.label,
        positive=None if parts.positive is None else str(parts.positive),
        classes=parts.classes,
        segments=parts.segments,
        notes=tuple(notes),
    )


def _profile(nothing: Reference, cells: Cells, bias: int, source: str, column: Profile) -> Reference:
    """Make the reference of one column: count its rows, find out how much neighbours have in common, and check its
    halves against each other.
    """
    centre, scale, spread = fixed_point(column, cells)
    alone = replace(
        nothing,
        columns=(cells,),
        sources=(source,),
        counts=np.zeros(cells.size, np.int64),
        selection_bias=np.array([bias]),
        centre=np.array([centre]),
        scale=np.array([scale]),
        spread=np.array([spread]),
        notes=tuple(_remarks(cells)),
    )
    tally = column.tally(alone)
    counted = replace(
        alone,
        counts=tally.cells,
        moments=tally.moments,
        extremes=tally.extremes,
        design_effects=of_blocks(cells, tally.cells, tally.blocks, block_rows(nothing.rows)),
    )
    return replace(counted, checks=(cells.name,) if halves.differ(counted, tally.halves) else ())


def _side_by_side(nothing: Reference, profiles: Sequence[Reference]) -> Reference:
    """Make one reference of the columns' own."""
    cells = tuple(column for one in profiles for column in one.columns)
    if sum(column.size for column in cells) > CELLS_MAX:
        raise FrameError(f"{len(cells)} columns make more than {CELLS_MAX} cells; watch fewer columns")
    names = ("counts", "selection_bias", "moments", "extremes", "centre", "scale", "spread", "design_effects")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in profiles]) for name in names}
    return replace(
        nothing,
        columns=cells,
        sources=tuple(source for one in profiles for source in one.sources),
        checks=tuple(name for one in profiles for name in one.checks),
        notes=(*nothing.notes, *(note for one in profiles for note in one.notes)),
        **arrays,
    )


def _labelled(reference: Reference, table: Columns, parts: Parts) -> Reference:
    """Add what the labels say: sums, figures, and which scores are predicted positive."""
    if reference.score is None or parts.score is None or parts.task not in ("binary", "multiclass", "regression"):
        if parts.label is None:
            return reference
        return replace(reference, notes=(*reference.notes, "no performance: labels need a task and a score"))
    if parts.task == "multiclass" and parts.prediction is None:
        why = "no performance: a multiclass model needs the predicted class beside the score"
        return replace(reference, notes=(*reference.notes, why)) if parts.label is not None else reference
    yes = _said_yes(table, parts)
    if yes is not None:
        cells = reference.score.index(table.column(parts.score))
        reference = replace(reference, positive_share=classes.positive_share(cells, yes, reference.score.size))
    if parts.label is None:
        return reference
    said = table.column(parts.prediction) if parts.prediction is not None else None
    sums = label_sums(reference, table.column(parts.score), said, table.column(parts.label))
    figures = {metric: figure.value for metric, figure in sorted(realised(reference, sums).items())}
    hangs_together = _loss_design_effect(reference, table, parts)
    return replace(reference, labels=sums, performance=figures, loss_design_effect=hangs_together)


def _loss_design_effect(reference: Reference, table: Columns, parts: Parts) -> float:
    """How much neighbouring rows' losses have in common."""
    assert parts.score is not None and parts.label is not None
    said = table.column(parts.prediction) if parts.prediction is not None else None
    loss = row_losses(reference, table.column(parts.score), said, table.column(parts.label))
    cells = Cells(name="loss", edges=cut.edges(loss))
    place = cells.index(loss)[:, None]
    asked = contrasts((cells,), np.bincount(place[:, 0], minlength=cells.size))
    return float(np.average(design_effects((cells,), place), weights=asked.weight))


def _remarks(cells: Cells) -> list[str]:
    notes = []
    if cells.open:
        all_kept = len(cells.levels) + len(cells.others) < cut.KNOWN_LEVELS_MAX
        why = "many levels that occur but once" if all_kept else f"more than {cut.KNOWN_LEVELS_MAX} levels"
        notes.append(
            f"{cells.name!r} has {why}: one that is not listed counts as 'other'; if it is an identifier, exclude it"
        )
    alike = infer.twins((*cells.levels, *cells.others)) if cells.kind == "categorical" else []
    if alike:
        notes.append(f"{cells.name!r} has levels that differ only in case or spaces, kept apart: {alike[:5]}")
    return notes
