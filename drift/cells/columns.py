"""One column of a table, as the cells want it: float32 values, or codes of level texts (`streams.tables.values`)."""

from typing import Any

import pyarrow.types as pt

from streams.tables.values import ColumnError, column, doubles, floats, levels
from streams.wire.spelling import boolean_of

__all__ = ["ColumnError", "arrow", "doubles", "floats", "levels", "refuse_other_than_truths"]

arrow = column


def refuse_other_than_truths(values: Any, name: str) -> None:
    """Refuse a column of truth values that holds something else, which would count as missing.

    Raises
    ------
    ColumnError
        The text names the value.
    """
    if pt.is_boolean(values.type) or pt.is_null(values.type):
        return
    odd = next((text for text in levels(values)[1] if text is not None and boolean_of(text) is None), None)
    if odd is not None:
        raise ColumnError(f"{name}: true or false expected, got {odd[:60]!r}; write true, false, 1 or 0")
