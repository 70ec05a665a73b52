"""Dependence: how much neighbouring rows have in common, contrast by contrast.

Rows come in households, sessions, retries. The variance of a sum over consecutive rows is then larger than that of
independent ones; the ratio is the design effect, and evidence is divided by its root.
"""

from collections.abc import Sequence

import numpy as np

from drift.cells.cells import Cells
from drift.evidence.contrasts import Contrasts, contrasts

BLOCKS_MIN, BLOCKS_MAX = 16, 2048
BLOCK_ROWS_MIN = 8
#: Standard errors that make a difference; and of the upper bound (one-sided 95 %).
CLEAR, UPPER = 3.0, 1.645
#: An indicator whose own estimate is no clearer than this has at least its column's: a level of one row in a thousand
#: comes in whole households as the common ones do, and its few households cannot show it.
BLURRED = 0.5


def design_effects(columns: Sequence[Cells], indices: np.ndarray) -> np.ndarray:
    """Design effect of every contrast of a reference, float64 [contrasts], from its rows in their own order.

    The variance ratio of sums over consecutive blocks grows with the block until blocks hold whole households; take
    the smallest block that no larger one clearly exceeds. If that is the smallest of all and clear of nothing, rows
    are independent (1); else its upper bound. Rows that repel each other count as independent.

    Parameters
    ----------
    columns
        Cells of the columns.
    indices
        Cell of each row in each column, int [rows, columns].

    >>> pairs = np.repeat(np.random.default_rng(1).integers(0, 2, (5000, 1)), 2, axis=0)
    >>> boolean = Cells(name="b", kind="boolean", levels=("false", "true"))
    >>> bool(1.9 < design_effects([boolean], pairs)[0] < 2.3)
    True
    """
    counts = [np.bincount(indices[:, i], minlength=cells.size) for i, cells in enumerate(columns)]
    size = block_rows(len(indices))
    several = zip(columns, counts, indices.T, strict=True)
    return np.concatenate([of_blocks(cells, c, block_counts(index, cells.size), size) for cells, c, index in several])


def of_column(every: Contrasts, column: int, rows: np.ndarray, effects: np.ndarray) -> float:
    """Design effect of one column's effect: those of its indicators, weighted by their variances.

    Parameters
    ----------
    every, column
        The contrasts of all columns, and the column.
    rows
        Rows in each of the column's cells, int64 [its cells].
    effects
        Design effect of each contrast of all columns, float64 [contrasts].
    """
    span = slice(every.span[column], every.span[column + 1])
    indicator = every.indicator[span]
    shares = every.matrix(column)[indicator] @ rows / max(1, int(rows.sum()))
    weight = shares * (1 - shares)
    return float(np.average(effects[span][indicator], weights=weight)) if weight.sum() > 0 else 1.0


def block_rows(rows: int) -> int:
    """Rows of the smallest blocks."""
    return max(BLOCK_ROWS_MIN, -(-rows // BLOCKS_MAX))


def block_counts(index: np.ndarray, cells: int) -> np.ndarray:
    """Count each whole block's rows in every cell, int64 [blocks, cells], from the cell of each row, int [rows]."""
    size = block_rows(len(index))
    blocks = len(index) // size
    slots = np.repeat(np.arange(blocks), size) * cells + index[: blocks * size]
    return np.bincount(slots, minlength=blocks * cells).reshape(blocks, cells)


def of_blocks(cells: Cells, counts: np.ndarray, blocks: np.ndarray, size: int | np.ndarray) -> np.ndarray:
    """Design effect of every contrast of one column, float64 [contrasts].

    Parameters
    ----------
    counts
        All rows in each cell, int64 [cells].
    blocks, size
        Those of each whole block, int64 [blocks, cells], and a block's rows, or each one's, int64 [blocks].
    """
    of_cells = contrasts((cells,), counts)
    if len(blocks) < BLOCKS_MIN:
        return np.ones(len(of_cells))
    scores = of_cells.matrix(0)
    mean, variance, excess = _moments(scores, blocks.sum(axis=0))
    rows = np.broadcast_to(size, len(blocks))
    sums = blocks @ scores.T - rows[:, None] * mean
    ratios, errors = [], []
    while len(sums) >= BLOCKS_MIN:
        ratios.append((sums**2).mean(axis=0) / (rows.mean() * variance))
        errors.append(np.sqrt((2 + excess / rows.mean()) / len(sums)))
        even = len(sums) // 2 * 2
        sums = sums[:even].reshape(-1, 2, len(scores)).sum(axis=1)
        rows = rows[:even].reshape(-1, 2).sum(axis=1)
    by_contrast, error = np.array(ratios), np.array(errors)
    varies = variance < 1  # That of a constant stands for none; an indicator's is at most a quarter.
    shared = of_cells.indicator & varies
    of_each = _of_best_size(by_contrast, error)
    if not shared.any():
        return of_each
    together = np.average(by_contrast[:, shared], axis=1, weights=variance[shared])
    of_column = _of_best_size(together[:, None], error[:, shared].min(axis=1, keepdims=True))[0]
    blurred = ~varies | (shared & (CLEAR * error[0] > BLURRED))
    borrowed: np.ndarray = np.where(blurred, np.maximum(of_each, of_column), of_each)
    return borrowed


def _moments(scores: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and excess kurtosis of each row score, [contrasts]; a constant has variance 1 and excess 0."""
    shares = counts / counts.sum()
    mean = scores @ shares
    squares = (scores - mean[:, None]) ** 2
    variance = squares @ shares
    constant = variance < 1e-12
    variance[constant] = 1.0
    return mean, variance, np.where(constant, 0.0, squares**2 @ shares / variance**2 - 3)


def _of_best_size(ratios: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Choose a block size for each contrast; ratios and their relative errors are [sizes, contrasts]."""
    exceeded = np.zeros(ratios.shape, bool)
    for i in range(len(ratios)):
        exceeded[i] = (ratios[i + 1 :] > ratios[i] * (1 + CLEAR * errors[i + 1 :])).any(axis=0)
    chosen = np.argmin(exceeded, axis=0)  # The first that nothing exceeds; the last never is.
    each = np.arange(ratios.shape[1])
    ratio, error = ratios[chosen, each], errors[chosen, each]
    independent = (chosen == 0) & (np.abs(ratio - 1) <= CLEAR * error)
    effects: np.ndarray = np.where(independent, 1.0, np.maximum(1.0, ratio * np.exp(UPPER * error)))
    return effects
