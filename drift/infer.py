"""Inferring a feature schema from a table: every guess is said aloud."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow.types as pt

from drift import cut
from drift.frames import Columns, FrameError
from drift.profiles import Profile, profile
from streams.schema import RESERVED, Feature, FeatureSchema, Kind

#: An integer column with no more distinct values is taken as categorical.
INTEGER_LEVELS_MAX = 20


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
    >>> schema, notes = infer(pa.table({"rooms": [1, 2, 2], "id": [7, 8, 9]}), None, (), {})
    >>> schema["rooms"].categories, notes
    (('1', '2'), ["'id' is left out: the name is Driftline's own", "'rooms' is taken as categorical: an integer with 2 distinct values"])
    """  # noqa: E501
    notes: list[str] = []
    features = []
    reserved = set(taken)
    for name in table.column_names if names is None else names:
        if name in reserved and names is None:
            continue
        column = profile(table, name)
        refusal = _refusal(name, column)
        if refusal and names is not None:
            raise FrameError(f"{name!r} cannot be watched: {refusal}; leave it out of features")
        if refusal:
            notes.append(f"{name!r} is left out: {refusal}")
            continue
        features.append(_feature(name, column, kinds.get(name), notes))
    if not features:
        raise FrameError("no column is left to watch; name the features")
    return FeatureSchema(tuple(features)), sorted(notes)


def _refusal(name: str, column: Profile) -> str:
    kind = column.type.value_type if pt.is_dictionary(column.type) else column.type
    if not name or name in RESERVED:
        return "the name is Driftline's own"
    if pt.is_temporal(kind):
        return "a date or time is no feature; derive a number or a category from it"
    if pt.is_nested(kind) or pt.is_binary(kind) or pt.is_large_binary(kind):
        return f"{kind} holds no single number or level"
    if column.nulls == column.rows and (pt.is_string(kind) or pt.is_large_string(kind)):
        return "all null, so its levels are unknown"
    return ""


def _feature(name: str, column: Profile, kind: Kind | None, notes: list[str]) -> Feature:
    kind = kind or _kind(name, column, notes)
    if column.nulls == column.rows:
        notes.append(f"{name!r} is all null: any value will count as a change")
    if kind != "categorical":
        return Feature(name, kind)
    categories = known_levels(column)
    if not categories:
        raise FrameError(f"{name!r} is all null, so its levels are unknown; leave it out, or give a FeatureSchema")
    return Feature(name, kind, categories=categories)


def _kind(name: str, column: Profile, notes: list[str]) -> Kind:
    if pt.is_boolean(column.type):
        return "boolean"
    if pt.is_dictionary(column.type) or pt.is_string(column.type) or pt.is_large_string(column.type):
        return "categorical"
    if pt.is_integer(column.type) and column.nulls < column.rows:
        distinct = column.distinct()
        if distinct <= INTEGER_LEVELS_MAX:
            values = "1 distinct value" if distinct == 1 else f"{distinct} distinct values"
            notes.append(f"{name!r} is taken as categorical: an integer with {values}")
            return "categorical"
    return "numeric"


def known_levels(column: Profile) -> tuple[str, ...]:
    """Levels in the order of a category type, else numbers first and in order; the most frequent if too many."""
    texts, counts = column.levels()
    listed = pt.is_dictionary(column.type)
    order = {text: (-int(n), k) for k, (text, n) in enumerate(zip(texts, counts, strict=True)) if text is not None}
    kept = sorted(order, key=order.__getitem__)[: cut.KNOWN_LEVELS_MAX]
    return tuple(sorted(kept, key=(lambda text: order[text][1]) if listed else cut.natural))


def twins(levels: Iterable[str]) -> list[str]:
    """Levels that differ only in case or outer spaces from an earlier one: kept apart, but worth a note.

    >>> twins(["Rome", "Oslo", "rome "])
    ['rome ']
    """
    seen: set[str] = set()
    found = []
    for level in levels:
        plain = level.strip().casefold()
        if plain in seen:
            found.append(level)
        seen.add(plain)
    return found
