"""Contrasts: the fixed questions that are asked of every column in every window.

A contrast gives each cell of a column a score; its sum over a window's rows is a linear function of the counts.

===========  ==============================================================================  ==================
kind         contrasts                                                                       weights
===========  ==============================================================================  ==================
numeric      ``location``: normal scores of the cells                                        .35
..           ``scale``: squared normal scores, centred                                       .25
..           is the value at or above an edge, one a cell edge; ``null``, ``+inf``, ``-inf``  .40 shared
categorical  is it this level, one a level (a pair needs one); ``other``, ``unseen``, ``null``  equal
===========  ==============================================================================  ==================

They are fixed with the reference, before any window is seen, and so is their order: the design effects that a
reference holds are in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from drift.cells.cells import Cells

LOCATION, SCALE, INDICATORS = 0.35, 0.25, 0.40


class Contrast(NamedTuple):
    """One question of one column: a score for each of its cells, and the weight of the answer."""

    name: str
    scores: np.ndarray
    weight: float
    indicator: bool


@dataclass(frozen=True, eq=False)
class Contrasts:
    """The contrasts of all columns, end to end, laid out for the kernels.

    Parameters
    ----------
    names
        Of each contrast, ``column: question``.
    column
        Position of its column, int64 [contrasts].
    weight
        float64 [contrasts]; sums to 1 in each column.
    indicator
        Whether its scores are 0 and 1, bool [contrasts].
    scores, score_bounds
        Scores end to end, float64; those of contrast ``i`` are ``scores[score_bounds[i]:score_bounds[i + 1]]``.
    first
        Its column's first cell in a flat count array, int64 [contrasts].
    offsets
        Place of each column's first cell, int64 [columns + 1].
    span
        Place of each column's first contrast, int64 [columns + 1].
    seeds
        uint64 [contrasts], a hash of the name.
    """

    names: tuple[str, ...]
    column: np.ndarray
    weight: np.ndarray
    indicator: np.ndarray
    scores: np.ndarray
    score_bounds: np.ndarray
    first: np.ndarray
    offsets: np.ndarray
    span: np.ndarray
    seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def matrix(self, column: int) -> np.ndarray:
        """Scores of one column, float64 [its contrasts, its cells]."""
        start, stop = self.score_bounds[self.span[column]], self.score_bounds[self.span[column + 1]]
        return self.scores[start:stop].reshape(self.span[column + 1] - self.span[column], -1)


def contrasts(columns: Sequence[Cells], counts: np.ndarray) -> Contrasts:
    """Lay out the contrasts of a reference.

    Parameters
    ----------
    columns
        Its cells, column after column.
    counts
        Its rows in every cell, int64 flat.

    >>> of_city = contrasts([Cells(name="city", kind="categorical", levels=("Rome", "Oslo"))], np.array([7, 3, 0, 0]))
    >>> of_city.names
    ('city: Rome', 'city: unseen', 'city: null')
    """
    offsets = np.concatenate([[0], np.cumsum([cells.size for cells in columns])]).astype(np.int64)
    by_column = [list(_of_cells(cells, counts[offsets[i] : offsets[i + 1]])) for i, cells in enumerate(columns)]
    flat = [contrast for several in by_column for contrast in several]
    names = [f"{cells.name}: {c.name}" for cells, several in zip(columns, by_column, strict=True) for c in several]
    column = np.repeat(np.arange(len(columns)), [len(several) for several in by_column])
    return Contrasts(
        names=tuple(names),
        column=column,
        weight=np.array([contrast.weight for contrast in flat]),
        indicator=np.array([contrast.indicator for contrast in flat]),
        scores=np.concatenate([contrast.scores for contrast in flat]),
        score_bounds=np.concatenate([[0], np.cumsum([len(contrast.scores) for contrast in flat])]).astype(np.int64),
        first=offsets[column],
        offsets=offsets,
        span=np.concatenate([[0], np.cumsum([len(several) for several in by_column])]).astype(np.int64),
        seeds=np.array([_seed(name) for name in names], np.uint64),
    )


def contrast_count(columns: Iterable[Cells]) -> int:
    """How many contrasts a reference's columns have, without making them.

    >>> contrast_count([Cells(name="city", kind="categorical", levels=("Rome", "Oslo")), Cells(name="x", edges=(1.0,))])
    9
    """
    return sum(len(cells.edges) + 5 if cells.kind == "numeric" else _indicators(cells) for cells in columns)


def _indicators(cells: Cells) -> int:
    named = len(cells.levels)
    return (1 if named == 2 else named) + sum(c is not None for c in (cells.other, cells.unseen, cells.null))


def _of_cells(cells: Cells, counts: np.ndarray) -> Iterator[Contrast]:
    if cells.kind == "numeric":
        yield from _numeric(cells, counts)
        return
    # Two levels ask the same question twice.
    named = [*range(len(cells.levels))][: 1 if len(cells.levels) == 2 else None]
    every = [*named, *(cell for cell in (cells.other, cells.unseen, cells.null) if cell is not None)]
    for cell in every:
        yield Contrast(cells.labels[cell], _indicator(cells, [cell]), 1 / len(every), True)


def _numeric(cells: Cells, counts: np.ndarray) -> Iterator[Contrast]:
    ends = [cell for cell in (cells.null, cells.plus_inf, cells.minus_inf) if cell is not None]
    line = slice(1, cells.null - 1)
    location, scale = np.zeros(cells.size), np.zeros(cells.size)
    location[line] = normal_scores(counts[line])
    squares = location[line] ** 2
    # Null and the infinities score 0, the mean, in both.
    scale[line] = squares - np.average(squares, weights=counts[line] + 0.5)
    yield Contrast("location", location, LOCATION, False)
    yield Contrast("scale", scale, SCALE, False)
    share = INDICATORS / (len(cells.edges) + len(ends))
    for k, edge in enumerate(cells.edges):
        yield Contrast(f">= {edge!r}", _indicator(cells, range(k + 2, cells.null)), share, True)
    for cell in ends:
        yield Contrast(cells.labels[cell], _indicator(cells, [cell]), share, True)


def normal_scores(counts: np.ndarray) -> np.ndarray:
    """Normal quantile of each cell's middle rank, with half a row more in every cell, so that empty ones are finite.

    >>> normal_scores(np.array([10, 10, 10, 10])).round(2).tolist()
    [-1.15, -0.32, 0.32, 1.15]
    """
    rows = counts + 0.5
    scores: np.ndarray = ndtri((np.cumsum(rows) - rows / 2) / rows.sum())
    return scores


def _indicator(cells: Cells, inside: Sequence[int]) -> np.ndarray:
    scores = np.zeros(cells.size)
    scores[list(inside)] = 1.0
    return scores


def _seed(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
