"""Wasserstein-1 distance of many columns, in units of their references' robust spread."""

import numpy as np

from drift.statistics.column_counts import Compared
from drift.statistics.wasserstein import Polygons, areas, polygons


def w1_of_columns(compared: Compared) -> list[float | None]:
    """Distances of each column; None where either side holds no finite value."""
    columns, counts = compared.numbers, compared.finite
    held, was = columns.distributions
    filled = counts.sum(axis=1) > 0
    both = held & filled
    distances: list[float | None] = [None] * len(both)
    now = polygons(columns.edges[both], counts[both], compared.extremes[both])
    kept = Polygons(*(part[filled[held]] for part in was))
    for column, area in zip(np.flatnonzero(both), areas(kept, now) / columns.spread[both], strict=True):
        distances[column] = float(area)
    return distances
