"""What the columns of a table can hold: a value outside fails its insert, or comes back as another one."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.wire.time_limits import KEPT_MS

_WHOLE = {f"Int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
_WHOLE |= {f"UInt{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)}
#: Least and largest value by type; instants are ms.
_SPANS = _WHOLE | {"DateTime64": KEPT_MS}
_NAME = re.compile(r"(?:(?:LowCardinality|Nullable)\()*(\w+)")


def outside(types: Mapping[str, str], columns: Mapping[str, Any]) -> str | None:
    """Name the first value that its column cannot hold, in words; None where there is none.

    Parameters
    ----------
    types
        ClickHouse's type of each column of the table.
    columns
        Rows, as `Store.insert` takes them.

    >>> outside({"ts": "DateTime64(3, 'UTC')", "n": "UInt8"}, {"ts": [7, 10**15], "n": [3]})
    'ts is 1000000000000000, and -2208988800000 to 10413791999999 can be kept'
    """
    for name, values in columns.items():
        kind = _NAME.match(types.get(name, ""))
        span = _SPANS.get(kind[1]) if kind else None
        ends = _ends(values) if span and len(values) else None
        if span and ends and not span[0] <= ends[0] <= ends[1] <= span[1]:
            wrong = ends[0] if ends[0] < span[0] else ends[1]
            return f"{name} is {wrong}, and {span[0]} to {span[1]} can be kept"
    return None


def _ends(values: Sequence[Any] | np.ndarray | pa.Array) -> tuple[int, int] | None:
    """The least and the largest of some values, at least one; None where all are null."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        ends = pc.min_max(values).as_py()
        return None if ends["min"] is None else (ends["min"], ends["max"])
    if isinstance(values, np.ndarray):
        return int(values.min()), int(values.max())
    return min(values), max(values)
