"""Sums of a closed window, kept small: most cells hold a few rows, and nobody looks until a straggler comes."""

import zlib

import msgspec
import numpy as np

from drift.cells.sums import Sums


class PackedSums(msgspec.Struct, frozen=True, eq=False):
    """Sums, packed: `pack` makes them, `sums` gives them back to the bit.

    ``cells`` are the counts at the width (bytes of an integer) that the largest needs; all is deflated.
    """

    rows: int
    width: int
    cells: bytes
    moments: bytes
    extremes: bytes

    @property
    def sums(self) -> Sums:
        """The sums as they were."""
        cells, moments = (zlib.decompress(packed) for packed in (self.cells, self.moments))
        return Sums(
            self.rows,
            np.frombuffer(cells, f"<i{self.width}").astype(np.int64),
            np.frombuffer(moments, "<i8").astype(np.int64).reshape(-1, 2),
            np.frombuffer(zlib.decompress(self.extremes), "<f4").astype(np.float32).reshape(-1, 2),
        )


def pack(sums: Sums) -> PackedSums:
    """Pack sums.

    >>> nothing = np.zeros((1, 2), np.int64)
    >>> pack(Sums(3, np.array([1, 300, 2]), nothing, nothing.astype(np.float32))).sums.cells
    array([  1, 300,   2])
    """
    highest = int(np.abs(sums.cells).max(initial=0))
    width = next(width for width in (1, 2, 4, 8) if highest < 1 << (8 * width - 1))
    return PackedSums(
        sums.rows,
        width,
        *(
            zlib.compress(array.astype(kind).tobytes(), 1)
            for array, kind in ((sums.cells, f"<i{width}"), (sums.moments, "<i8"), (sums.extremes, "<f4"))
        ),
    )
