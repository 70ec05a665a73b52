"""Columns that are no features: identifiers, times, free text, and what holds no single number or level.

>>> table = pa.table({"id": range(60), "customer": range(60), "age": [41.5, 7.0] * 30, "name": [f"n{i}" for i in range(60)]})
>>> unfit(table, table.column_names)["customer"]
'counts up row by row: an identifier'
>>> list(unfit(table, table.column_names))
['id', 'customer', 'name']
"""  # noqa: E501

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streams.tables.kinds import kind_of, no_feature
from streams.tables.read import unreadable

#: A text column with more levels is an identifier or free text.
LEVELS_MAX = 1_000
#: Below so many rows, values that differ from each other say little.
_ROWS_MIN = 50
#: What pandas calls an index that it writes beside the columns.
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+")
_IDENTIFIER = re.compile(r"(?i)(^|.*[_. -])(id|ids|uid|uuid|guid|key|index|idx|no|nr|serial)$")


def unfit(table: pa.Table, names: Iterable[str]) -> dict[str, str]:
    """Say which columns should not be features, and why."""
    odd = unreadable(table)
    reasons = {name: _why(name, table[name], odd.get(name, "")) for name in names}
    return {name: why for name, why in reasons.items() if why}


def _why(name: str, column: pa.ChunkedArray, unreadable: str) -> str:
    if _INDEX.fullmatch(name):
        return "an index that pandas wrote"
    if why := unreadable or no_feature(name, column.type):
        return why
    if column.null_count == len(column):
        return "it holds nothing but nulls"
    if kind_of(column.type) == "categorical":
        return _text(column)
    if pt.is_integer(column.type) and len(column) >= _ROWS_MIN and not column.null_count:
        return _integer(name, column)
    return ""


def _text(column: pa.ChunkedArray) -> str:
    rows, levels = len(column), len(column.drop_null().unique())
    many = levels > LEVELS_MAX or (rows >= _ROWS_MIN and levels > rows / 2)
    return f"{levels:,} different texts in {rows:,} rows: an identifier or free text" if many else ""


def _integer(name: str, column: pa.ChunkedArray) -> str:
    values = column.to_numpy().astype(np.float64)
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return f"counts {'up' if steps[0] > 0 else 'down'} row by row: an identifier"
    if pc.count_distinct(column).as_py() < len(column):
        return ""
    if values.max() - values.min() == len(column) - 1:
        return "every integer of a range stands once: an identifier"
    return "a different integer in every row: an identifier" if _IDENTIFIER.match(name) else ""
