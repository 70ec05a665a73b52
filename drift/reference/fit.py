"""Fitting a reference: a table in, a frozen profile out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.types as pt

from drift.cells import binning, columns, frames
from drift.cells.cells import Cells
from drift.cells.frames import Columns, FrameError
from drift.cells.profile import Profile
from drift.evidence.design_effects import block_rows, of_blocks
from drift.reference import fit_outputs, schema_inference, self_check
from drift.reference.column_source import ColumnProfile, Held, fixed_point, frequencies, profile
from drift.reference.fit_outputs import Parts
from streams.tables.kinds import coarse
from streams.wire.schema import Feature, FeatureSchema, Kind
from streams.wire.spelling import Levels

#: So many cells make a counts message of 900 kB.
CELLS_MAX = 100_000


def kinds_of(parts: Parts, features: Sequence[str] | FeatureSchema | None) -> dict[str, Kind]:
    """Kinds that are known before the table is read."""
    if isinstance(features, FeatureSchema):
        return {feature.name: feature.kind for feature in features.features} | dict(parts.kinds)
    return dict(parts.kinds)


def fit(
    table: Columns,
    parts: Parts,
    features: Sequence[str] | FeatureSchema | None,
    held_out: Columns | None = None,
) -> Profile:
    """Profile a table, and what the model said of it, or of rows that it has not learnt from; see `Reference.fit`.

    Parameters
    ----------
    table
        The rows that features are profiled on.
    parts
        What its columns are to the model.
    features
        Names, or the schema, of the features; None infers them.
    held_out
        Rows that the model has not learnt from: score, prediction and labels are profiled on these.
    """
    if table.num_rows == 0:
        raise FrameError("the table holds no row; a reference needs the training data")
    if held_out is not None and held_out.num_rows == 0:
        raise FrameError("the held-out table holds no row; leave it out, or keep some back")
    judged = table if held_out is None else held_out
    frames.require(judged, parts.named, "the table" if held_out is None else "the held-out table")
    parts, remarks = fit_outputs.completed(judged, parts, None if held_out is None else table)
    if isinstance(features, FeatureSchema):
        schema, notes = features, list[str]()
        frames.require(table, schema.names, "the table")
    else:
        frames.require(table, [*(features or ()), *parts.segments], "the table")
        numbered = [name for name in parts.segments if pt.is_integer(profile(table, name).type)]
        kinds: dict[str, Kind] = dict.fromkeys(numbered, "categorical")
        schema, notes = schema_inference.infer(
            table, features, (*parts.exclude, *parts.named), kinds | dict(parts.kinds)
        )
    _check_segments(schema, parts.segments)
    if parts.score is not None and (hidden := coarse(parts.score, columns.doubles(judged.column(parts.score)))):
        notes = [*notes, hidden]
    nothing = _nothing(parts, schema, table.num_rows, (*notes, *remarks.notes))
    profiles = [_profile(nothing, *_cut(column, f), f.name, column) for f, column in _each(table, schema.features)]
    of_judged = replace(nothing, rows=judged.num_rows)
    profiles += [
        _profile(of_judged, cells, bias, name, Held(judged.column(name), name))
        for cells, bias, name in fit_outputs.outputs(judged, parts)
    ]
    whole = replace(
        _side_by_side(nothing, profiles),
        held_out_rows=0 if held_out is None else held_out.num_rows,
        warnings=remarks.warnings,
    )
    return fit_outputs.labelled(fit_outputs.warned(whole, whole.unjudged), judged, parts)


def _each(table: Columns, features: Sequence[Feature]) -> Iterator[tuple[Feature, ColumnProfile]]:
    """One column after the other: no more than one need be in memory."""
    for feature in features:
        yield feature, profile(table, feature.name)


def _check_segments(schema: FeatureSchema, segments: Sequence[str]) -> None:
    for name in segments:
        if name not in schema.names or schema[name].kind == "numeric":
            raise FrameError(f"segment {name!r} is no categorical feature; segments are made of levels")


def _cut(column: ColumnProfile, feature: Feature) -> tuple[Cells, int]:
    """Cells of a feature, and the `Reference.selection_bias` of their levels."""
    if feature.kind == "numeric":
        edges = binning.edges_of(column.ordered(), feature.low, feature.high)
        return Cells(name=feature.name, edges=edges, low=feature.low, high=feature.high), 0
    if feature.kind == "boolean":
        return Cells(name=feature.name, kind="boolean", levels=("false", "true")), 0
    seen = _by_value(frequencies(column), feature.categories)
    named, others, more = binning.levels(seen, feature.categories)
    cells = Cells(name=feature.name, kind="categorical", levels=named, others=others, open=more)
    return cells, binning.selection_bias(seen, named, others)


def _by_value(seen: Mapping[str, int], categories: Sequence[str]) -> dict[str, int]:
    """Rows of each level, as a schema spells it where it lists it."""
    known, rows_by_level = Levels({level: level for level in categories}), dict[str, int]()
    for text, rows in seen.items():
        level = known.get(text) or known.spelled(text)
        rows_by_level[level] = rows_by_level.get(level, 0) + rows
    return rows_by_level


def _nothing(parts: Parts, schema: FeatureSchema, rows: int, notes: Sequence[str]) -> Profile:
    """Make the reference that has no column yet."""
    return Profile(
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
        in_sample=parts.in_sample,
        notes=tuple(notes),
    )


def _profile(nothing: Profile, cells: Cells, bias: int, source: str, column: ColumnProfile) -> Profile:
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
    return replace(counted, checks=(cells.name,) if self_check.differ(counted, tally.halves) else ())


def _side_by_side(nothing: Profile, profiles: Sequence[Profile]) -> Profile:
    """Make one reference of the columns' own."""
    cells = tuple(column for profile in profiles for column in profile.columns)
    if sum(column.size for column in cells) > CELLS_MAX:
        raise FrameError(f"{len(cells)} columns make more than {CELLS_MAX} cells; watch fewer columns")
    names = ("counts", "selection_bias", "moments", "extremes", "centre", "scale", "spread", "design_effects")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(profile, name) for profile in profiles]) for name in names}
    return replace(
        nothing,
        columns=cells,
        sources=tuple(source for profile in profiles for source in profile.sources),
        checks=tuple(name for profile in profiles for name in profile.checks),
        notes=(*nothing.notes, *(note for profile in profiles for note in profile.notes)),
        **arrays,
    )


def _remarks(cells: Cells) -> list[str]:
    notes = []
    if cells.open:
        all_kept = len(cells.levels) + len(cells.others) < binning.KNOWN_LEVELS_MAX
        why = "many levels that occur but once" if all_kept else f"more than {binning.KNOWN_LEVELS_MAX} levels"
        notes.append(
            f"{cells.name!r} has {why}: one that is not listed counts as 'other'; if it is an identifier, exclude it"
        )
    alike = schema_inference.twins((*cells.levels, *cells.others)) if cells.kind == "categorical" else []
    if alike:
        notes.append(f"{cells.name!r} has levels that differ only in case or spaces, kept apart: {alike[:5]}")
    return notes
