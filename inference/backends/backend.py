"""The seam between a model and the rest of inference."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class Model(Protocol):
    """Anything that turns a batch of rows into scores."""

    def predict(self, matrix: "np.ndarray") -> "np.ndarray":
        """Score a batch: float32 [batch_rows, features] to float32 [batch_rows, outputs].

        The batch always has the package's number of rows; see `streams.wire.schema` for what a cell holds. For a
        binary model there is one output, the probability of the positive class, or one for each class; for a
        multiclass model one for each class; for a regression the value. A row whose score is NaN or out of range is
        refused, and no other. Once it is loaded a batch of zeros is scored, which must not raise.
        """
        ...
