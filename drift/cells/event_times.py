"""Event times of a table's column, refused as other columns of a table are."""

import numpy as np
import pyarrow as pa

from drift.cells.frames import FrameError
from streams.wire.times import TimesError, epoch_ms


def milliseconds(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Event times as int64 ms since 1970, UTC; `streams.wire.times` says what is read as one.

    Raises
    ------
    FrameError
        The column holds no times, or a row has none.

    >>> milliseconds(pa.chunked_array([["2024-01-01T00:00:01Z"]]), "ts").tolist()
    [1704067201000]
    """
    if not len(column):  # A column without a row may be of any type: pandas has no other for nothing.
        return np.zeros(0, np.int64)
    try:
        return epoch_ms(column, name)
    except TimesError as error:
        raise FrameError(str(error)) from error
