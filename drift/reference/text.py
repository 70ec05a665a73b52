"""A reference in a few lines, what is doubtful first: what a notebook shows of it."""

import textwrap
from collections.abc import Iterable

from drift.cells.profile import Profile

#: Columns, warnings and notes that are shown, and characters of a line.
_COLUMNS_MAX, _WARNINGS_MAX, _NOTES_MAX, _WIDTH = 8, 3, 2, 118

#: What is taken for the order of time.
_ORDERS = {
    "time": "rows in the order of time",
    "file": "rows as they stand in the table, taken for the order of time; time= names a column of times, "
    "order='unknown' says that they were mixed",
    "unknown": "rows mixed: how windows differ is learnt from the stream",
}


def summary(reference: Profile, identity: str) -> str:
    """Say what a reference holds, on at most 15 lines.

    >>> import pandas as pd
    >>> from drift import Reference
    >>> reference = Reference.fit(pd.DataFrame({"age": [31.5, 45.2, 18.0], "city": ["Rome", "Oslo", None]}))
    >>> summary(reference, reference.id).splitlines()[1]
    '  columns: age numeric, city categorical'
    """
    task = reference.task or "columns only"
    held_out = f" and {reference.held_out_rows:,} held-out ones" if reference.held_out_rows else ""
    lines = [f"Reference of {reference.rows:,} rows{held_out}, {task}, id {identity}"]
    warnings = [*_differing(reference), *reference.warnings]
    lines += _some("warning", warnings, _WARNINGS_MAX, "reference.warnings")
    if reference.classes:
        positive = f"; the score is of {reference.positive!r}" if reference.positive else ""
        lines.append(_line(f"classes: {_names(map(repr, reference.classes))}{positive}"))
    if reference.performance:
        of = ", of rows that were learnt from" if reference.in_sample else ", held out" if held_out else ""
        figures = ", ".join(f"{metric} {value:.3g}" for metric, value in reference.performance.items())
        lines.append(_line(f"performance{of}: {figures}"))
    lines.append(_line(f"columns: {_names(f'{cells.name} {cells.kind}' for cells in reference.columns)}"))
    lines += _lines(f"order: {_ORDERS[reference.order]}", 2)
    if reference.segments:
        lines.append(_line(f"segments: {_names(reference.segments)}"))
    notes = [note for note in reference.notes if note not in reference.warnings]
    return "\n".join([*lines, *_some("note", notes, _NOTES_MAX, "reference.notes")])


def _differing(reference: Profile) -> list[str]:
    """Columns whose halves differ, as one warning."""
    if not reference.checks:
        return []
    return [f"the first and the second half of the rows differ in {_names(reference.checks)}"]


def _names(several: Iterable[str]) -> str:
    names = list(several)
    more = len(names) - _COLUMNS_MAX
    return ", ".join(names[:_COLUMNS_MAX]) + (f" and {more} more" if more > 0 else "")


def _some(kind: str, texts: list[str], most: int, where: str) -> list[str]:
    """Texts of a kind, a line each; a warning may take two."""
    lines = 2 if kind == "warning" else 1
    shown = [line for text in texts[:most] for line in _lines(f"{kind}: {text}", lines)]
    more = len(texts) - most
    return shown + ([f"  {more} more in {where}"] if more > 0 else [])


def _line(text: str) -> str:
    return _lines(text, 1)[0]


def _lines(text: str, most: int) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, max_lines=most, placeholder=" ...", initial_indent="  ", subsequent_indent="    "
    )
