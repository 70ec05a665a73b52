"""Repeats: which part of a window's rows carries the id of another one, from a sketch of a few kilobytes.

The sketch holds the smallest hashes that occur and how many rows have each: a sample of ids, each with all of its rows.
What does not fit is never among the smallest of a larger whole, so sketches merge exactly: any split of the rows, in
any order, gives the same bytes.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa

#: Distinct ids that a sketch holds; up to so many the share is exact.
IDS_MAX = 256
_ENTRY = np.dtype([("hash", "<u8"), ("rows", "<u4")])
_ROWS_MAX = np.iinfo(np.uint32).max


def sketches(ids: pa.Array, groups: np.ndarray, size: int) -> list[bytes]:
    """Sketch the ids of each group of rows.

    Parameters
    ----------
    groups
        Group of each row, int32 [rows], below ``size``.

    >>> [share(held) for held in sketches(pa.array(["a", "b", "a", "b"]), np.array([0, 1, 0, 2]), 4)]
    [(1, 2), (0, 1), (0, 1), (0, 0)]
    """
    texts = np.asarray(ids.to_numpy(zero_copy_only=False), dtype=object)
    # pandas hashes a missing id by its place among the categories, and texts with or without categories alike.
    hashes = pd.util.hash_array(texts, categorize=ids.null_count > 0)
    order = np.lexsort((hashes, groups))
    hashes, groups = hashes[order], groups[order]
    new = np.empty(len(order), bool)
    new[:1] = True
    new[1:] = (hashes[1:] != hashes[:-1]) | (groups[1:] != groups[:-1])
    firsts = np.flatnonzero(new)
    rows = np.diff(firsts, append=len(order))
    bounds = np.searchsorted(groups[firsts], np.arange(size + 1))
    return [_pack(hashes[firsts[low:high]], rows[low:high]) for low, high in pairwise(bounds.tolist())]


def merged(first: bytes, second: bytes) -> bytes:
    """Sketch of the rows of two.

    >>> share(merged(*sketches(pa.array(["a", "b", "b", "c"]), np.array([0, 0, 1, 1]), 2)))
    (1, 4)
    """
    both = np.frombuffer(first + second, _ENTRY)
    hashes, hash_index = np.unique(both["hash"], return_inverse=True)
    return _pack(hashes, np.bincount(hash_index, both["rows"], minlength=len(hashes)))


def whole(held: bytes) -> bool:
    """Whether bytes are a sketch, or nothing: whole entries, no more than fit, of rows that there are.

    >>> whole(*sketches(pa.array(["a", "b"]), np.zeros(2, np.int32), 1)), whole(b""), whole(b"\\xff" * 7)
    (True, True, False)
    """
    if len(held) % _ENTRY.itemsize or len(held) > IDS_MAX * _ENTRY.itemsize:
        return False
    return bool((np.frombuffer(held, _ENTRY)["rows"] > 0).all())


def share(held: bytes) -> tuple[int, int]:
    """Rows of the sampled ids that repeat an id, and rows of them all."""
    rows = np.frombuffer(held, _ENTRY)["rows"]
    return int(rows.sum()) - len(rows), int(rows.sum())


def _pack(hashes: np.ndarray, rows: np.ndarray) -> bytes:
    held = np.empty(min(len(hashes), IDS_MAX), _ENTRY)
    held["hash"], held["rows"] = hashes[:IDS_MAX], np.minimum(rows[:IDS_MAX], _ROWS_MAX)
    return held.tobytes()
