"""The mean of a column's finite values."""

from collections.abc import Sequence

import numpy as np

from drift.statistics.column_counts import Compared


def mean_of_columns(compared: Compared) -> Sequence[float | None]:
    """Means from fixed-point sums, of each column; None where a column holds no finite value."""
    columns, rows = compared.numbers, compared.finite.sum(axis=1)
    means = columns.centre + compared.moments[:, 0] / np.maximum(rows, 1) * columns.scale
    return [mean if n else None for mean, n in zip(means.tolist(), rows.tolist(), strict=True)]
