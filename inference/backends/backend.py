"""The seam between what computes and the rest of inference."""

from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np


class Shapes(msgspec.Struct, frozen=True):
    """Batch shapes that a backend takes.

    Parameters
    ----------
    buckets
        Numbers of rows, ascending: a batch has exactly one of them, and is padded up to it.

    >>> shapes = Shapes((16, 64, 512))
    >>> shapes.rows_max, shapes.bucket(1), shapes.bucket(64), shapes.bucket(65), shapes.below(64), shapes.below(16)
    (512, 16, 64, 512, 16, None)
    """

    buckets: tuple[int, ...]

    @property
    def rows_max(self) -> int:
        """Rows of the largest batch."""
        return self.buckets[-1]

    def bucket(self, rows: int) -> int:
        """The smallest batch that holds so many rows, at most `rows_max`."""
        return self.buckets[bisect_left(self.buckets, rows)]

    def below(self, bucket: int) -> int | None:
        """The next smaller batch; None where there is none."""
        at = bisect_left(self.buckets, bucket)
        return self.buckets[at - 1] if at else None


#: Hands a batch to a device that computes by itself; returns what waits for its scores.
Submit = Callable[["np.ndarray"], Callable[[], "np.ndarray"]]


class Backend(Protocol):
    """What turns a batch of rows into scores: a file that is run here, or a server that is asked.

    One whose device computes by itself may have a `Submit`, too, as ``submit``: then a batch is handed to it before the
    scores of the one before are waited for.

    Attributes
    ----------
    shapes
        Batches that it takes.
    """

    shapes: Shapes

    def score(self, matrix: "np.ndarray") -> "np.ndarray":
        """Score a batch: float32 [bucket, features] to float32 [bucket, outputs].

        See `streams.wire.schema` for what a cell holds. For a binary model there is one output, the probability of the
        positive class, or one for each class; for a multiclass model one for each class; for a regression the value. A
        row whose score is NaN or out of range is refused, and no other. Once it is loaded a batch of zeros is scored,
        which must not raise.

        Raises
        ------
        Unavailable
            It does not answer now; no row is at fault, and the same batch may be scored later.
        OutOfMemory
            The device has no memory for a batch of this size.
        Fatal
            Only a new process can go on: a device is lost.

        Anything else that is raised may be the fault of some rows: they are looked for by halving the batch.
        """
        ...

    def health(self) -> str:
        """Why it cannot score now, or an empty text; answered at once."""
        ...
