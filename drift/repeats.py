"""Repeats: which part of a window's rows carries the id of another one, from a sketch of a few kilobytes.

The sketch holds the smallest hashes that occur and how many rows have each: a sample of ids, each with all of its rows.
What does not fit is never among the smallest of a larger whole, so sketches merge exactly: any split of the rows, in
any order, gives the same bytes.
"""

import numpy as np
import pandas as pd
import pyarrow as pa

#: Distinct ids that a sketch holds; up to so many the share is exact.
IDS_MAX = 256
_ENTRY = np.dtype([("hash", "<u8"), ("rows", "<u4")])


def sketch(ids: pa.Array) -> bytes:
    """Sketch the ids of some rows.

    >>> share(sketch(pa.array(["a", "b", "a", "c"])))
    (1, 4)
    """
    hashes = pd.util.hash_array(np.asarray(ids.to_numpy(zero_copy_only=False), dtype=object))
    return _pack(*np.unique(hashes, return_counts=True))


def merged(one: bytes, other: bytes) -> bytes:
    """Sketch of the rows of two.

    >>> share(merged(sketch(pa.array(["a", "b"])), sketch(pa.array(["b", "c"]))))
    (1, 4)
    """
    both = np.frombuffer(one + other, _ENTRY)
    hashes, place = np.unique(both["hash"], return_inverse=True)
    return _pack(hashes, np.bincount(place, both["rows"], minlength=len(hashes)))


def share(held: bytes) -> tuple[int, int]:
    """Rows of the sampled ids that repeat an id, and rows of them all."""
    rows = np.frombuffer(held, _ENTRY)["rows"]
    return int(rows.sum()) - len(rows), int(rows.sum())


def _pack(hashes: np.ndarray, rows: np.ndarray) -> bytes:
    held = np.empty(min(len(hashes), IDS_MAX), _ENTRY)
    held["hash"], held["rows"] = hashes[:IDS_MAX], rows[:IDS_MAX]
    return held.tobytes()
