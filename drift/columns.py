"""One column of a table, as the cells want it: float32 values, or codes of level texts (`streams.tables.values`)."""

from streams.tables.values import ColumnError, column, floats, levels

__all__ = ["ColumnError", "arrow", "floats", "levels"]

arrow = column
