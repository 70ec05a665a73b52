"""The new normal: what a person has accepted as usual, laid over a reference.

Cells stay, so counting is untouched. Of the columns that an incident named, the counts since their change point become
those that are expected; of performance, the label sums do. The reference that results has an id of its own.
"""

from dataclasses import replace

import msgspec
import numpy as np

from drift.performance.metrics import realised
from drift.reference.reference import Reference


class NewNormal(msgspec.Struct, kw_only=True, eq=False):
    """What is laid over a reference.

    Parameters
    ----------
    key
        The latest act that it comes from.
    columns
        Counts of columns by their position, int64 [their cells].
    labels
        Label sums, int64 [score cells, 4]; None leaves those of the training data.
    """

    key: str
    columns: dict[int, np.ndarray] = {}
    labels: np.ndarray | None = None

    def over(self, reference: Reference) -> Reference:
        """The reference with this laid over it."""
        counts, bias = reference.counts.copy(), reference.selection_bias.copy()
        for n, accepted in self.columns.items():
            counts[reference.offsets[n] : reference.offsets[n + 1]] = accepted
            bias[n] = 0  # No levels were selected by these counts.
        made = replace(reference, counts=counts, selection_bias=bias)
        if self.labels is None:
            return made
        made = replace(made, labels=self.labels)
        return replace(made, performance={name: figure.value for name, figure in realised(made, self.labels).items()})
