"""Inferring a feature schema from a table: every guess is said aloud."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.types as pt

from drift.cells import binning
from drift.cells.columns import ColumnError
from drift.cells.frames import Columns, FrameError
from drift.reference.column_source import ColumnProfile, profile
from drift.reference.missing_codes import code_note
from streams.tables.kinds import INTEGER_LEVELS_MAX, codes_perhaps, kind_of, no_feature
from streams.tables.read import unreadable
from streams.tables.values import is_text
from streams.wire.schema import Feature, FeatureSchema, Kind
from streams.wire.spelling import spells_number


def infer(
    table: Columns, names: Sequence[str] | None, taken: Iterable[str], kinds: Mapping[str, Kind]
) -> tuple[FeatureSchema, list[str]]:
    """Find the features of a table and their kinds.

    Parameters
    ----------
    names
        The features, or None for every column that is not ``taken``; then what cannot be watched is left out.
    kinds
        Kinds that are not to be guessed.

    Returns
    -------
    tuple
        The schema, and a note on each guess and each column left out.

    Raises
    ------
    FrameError
        A named column cannot be watched, or no column is left.

    >>> import pyarrow as pa
    >>> schema, notes = infer(pa.table({"rooms": [1, 2, 2], "city": ["Rome", "Oslo", None]}), None, (), {})
    >>> schema["city"].categories, notes
    (('Oslo', 'Rome'), ["'rooms' is taken as numeric: an integer with 2 distinct values; if they are codes, make it categorical"])
    """  # noqa: E501
    notes: list[str] = []
    features = []
    reserved, odd = set(taken), unreadable(table)
    for name in table.column_names if names is None else names:
        if name in reserved and names is None:
            continue
        try:
            column = profile(table, name)
            refusal = odd.get(name, "") or _refusal(name, column, kinds.get(name))
            feature = None if refusal else _feature(name, column, kinds.get(name), notes)
        except ColumnError as error:
            if name in kinds:  # It is not what somebody said that it is.
                raise FrameError(str(error)) from error
            refusal = str(error)
        if refusal and names is not None:
            raise FrameError(f"{name!r} cannot be watched: {refusal}; leave it out of features")
        if refusal:
            notes.append(f"{name!r} is left out: {refusal}")
        elif feature is not None:
            features.append(feature)
    if not features:
        raise FrameError("; ".join(["no column is left to watch; name the features", *notes]))
    return FeatureSchema(tuple(features)), sorted(notes)


def _refusal(name: str, column: ColumnProfile, kind: Kind | None) -> str:
    levels_alone = kind == "categorical" and not pt.is_nested(column.type)  # Of bytes and times, too, if so asked.
    if refusal := no_feature(name, pa.string() if levels_alone else column.type):
        return refusal
    if column.nulls == column.rows and (is_text(column.type) or pt.is_dictionary(column.type)):
        return "all null, so its levels are unknown"
    return ""


def _feature(name: str, column: ColumnProfile, kind: Kind | None, notes: list[str]) -> Feature:
    given_kind, kind = kind, kind or kind_of(column.type)
    assert kind is not None, (name, column.type)
    if column.nulls == column.rows:
        notes.append(f"{name!r} is all null: any value will count as a change")
    if kind == "numeric" and pt.is_integer(column.type) and column.nulls < column.rows:
        distinct = column.distinct()
        notes += [codes_perhaps(name, distinct)] if distinct <= INTEGER_LEVELS_MAX else []
    if kind == "numeric":
        notes += filter(None, [column.coarse(), code_note(repr(name), column.ordered())])
    if kind != "categorical":
        return Feature(name, kind)
    categories = known_levels(column)
    if (
        not given_kind
        and is_text(column.type)
        and len(categories) > INTEGER_LEVELS_MAX
        and all(map(spells_number, categories))
    ):
        notes.append(f"{name!r} is text that spells numbers, taken as levels; if they are numbers, make it numeric")
    if not categories:
        raise FrameError(f"{name!r} is all null, so its levels are unknown; leave it out, or give a FeatureSchema")
    return Feature(name, kind, categories=categories)


def known_levels(column: ColumnProfile) -> tuple[str, ...]:
    """Levels in the order of a category type, else numbers first and in order; the most frequent if too many."""
    texts, counts = column.levels()
    listed = pt.is_dictionary(column.type)
    order = {text: (-int(n), k) for k, (text, n) in enumerate(zip(texts, counts, strict=True)) if text is not None}
    kept = sorted(order, key=order.__getitem__)[: binning.KNOWN_LEVELS_MAX]
    return tuple(sorted(kept, key=(lambda text: order[text][1]) if listed else binning.natural))


def twins(levels: Iterable[str]) -> list[str]:
    """Levels that differ only in case or outer spaces from an earlier one: kept apart, but worth a note.

    >>> twins(["Rome", "Oslo", "rome "])
    ['rome ']
    """
    seen: set[str] = set()
    alike = []
    for level in levels:
        plain = level.strip().casefold()
        if plain in seen:
            alike.append(level)
        seen.add(plain)
    return alike
