"""Evidently's report of a window against its reference: the other side of `evidently_process`.

``python -m drift.analysis.report.evidently_html`` imports Evidently, then reads three paths from stdin, a line each:
the rows that came, the rows of the reference, both Parquet, and the page to write.
"""

import re
import sys
from html import escape
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from drift.analysis.report.evidently_process import ReportError, write

__all__ = ["ReportError", "without_values", "write"]


def without_values(current: pa.Table, reference: pa.Table) -> dict[str, str]:
    """Columns in which one side has no value, and which: Evidently compares none of them."""
    empty_sides = {}
    for name in reference.column_names:
        sides = [side for side, table in (("now", current), ("then", reference)) if not _values(table.column(name))]
        if sides:
            empty_sides[name] = " and ".join(sides)
    return empty_sides


def without_markup(table: pa.Table) -> pa.Table:
    """Names and levels without the characters that begin markup: Evidently writes both into a script of its page as
    they stand, and levels are what clients sent.

    >>> without_markup(pa.table({"<b>": ["</script>", None]})).to_pydict()
    {'‹b›': ['‹/script›', None]}
    """
    names = [name.translate(_INSTEAD) for name in table.column_names]
    columns = [_plain(column) for column in table.columns]
    taken = [name if names.count(name) == 1 else f"{name} ({n})" for n, name in enumerate(names)]
    return pa.table(dict(zip(taken, columns, strict=True)))


_INSTEAD = {ord("<"): "‹", ord(">"): "›"}  # noqa: RUF001


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pt.is_string(column.type) or pt.is_large_string(column.type) or pt.is_string_view(column.type)):
        return column
    for code, instead in _INSTEAD.items():
        column = pc.replace_substring(column, chr(code), instead)
    return column


def _values(column: pa.ChunkedArray) -> int:
    """Rows that have a value; infinities are none."""
    if pt.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return int(len(column) - column.null_count)


def _run() -> None:
    # First, while whoever started this process fetches the rows.
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    paths = sys.stdin.read().splitlines()
    if len(paths) < 3:  # Whoever asked has given up.
        return
    current, reference, out = paths
    tables = [pq.read_table(file) for file in (current, reference)]
    empty = without_values(*tables)
    tables = [without_markup(table.drop_columns(list(empty))) for table in tables]
    if not tables[0].column_names:
        raise ReportError(f"no column has values on both sides: {_left_out(empty)}")
    numbers = [field.name for field in tables[1].schema if pt.is_floating(field.type) or pt.is_integer(field.type)]
    levels = [name for name in tables[1].column_names if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=levels)
    now, then = (Dataset.from_pandas(table.to_pandas(), data_definition=definition) for table in tables)
    Report([DataDriftPreset(), DataSummaryPreset()]).run(now, then).save_html(out)
    if empty:
        page = Path(out).read_text()
        note = f'<p style="font: 16px sans-serif; margin: 16px">{escape(_left_out(empty))}</p>'
        Path(out).write_text(_BODY.sub(lambda body: body[0] + note, page, count=1))


_BODY = re.compile(r"<body[^>]*>")


def _left_out(empty: dict[str, str]) -> str:
    return "Without any value, and so not compared: " + ", ".join(f"{name} ({side})" for name, side in empty.items())


if __name__ == "__main__":
    _run()
