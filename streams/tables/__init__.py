"""Tables in: pandas frames, Arrow, Parquet and CSV, all read by the same rules.

=============  =============================================================================================
`values`       one column of anything as one plain Arrow array; float32 numbers and level codes of it
`kinds`        which kind a column has, which one is no feature, and what float32 cannot tell apart
`text`         columns of text read as numbers, booleans or levels: by the kinds they should have, or by looking
               at the whole column
`csv`          CSV files: separator, encoding, and their columns as text
`read`         a table from whatever was given
=============  =============================================================================================

What a value becomes, whatever way it came, is `streams.wire.spelling`.
"""

from streams.tables.read import ParquetColumns, Table, TableError, read, scan
from streams.tables.values import ColumnError

__all__ = ["ColumnError", "ParquetColumns", "Table", "TableError", "read", "scan"]
