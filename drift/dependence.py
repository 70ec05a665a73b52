"""Dependence: how much neighbouring rows have in common, contrast by contrast.

Rows come in households, sessions, retries. The variance of a sum over consecutive rows is then larger than that of
independent ones; the ratio is the design effect, and evidence is divided by its root.
"""

from collections.abc import Sequence

import numpy as np

from drift.cells import Cells
from drift.contrasts import Contrasts, contrasts

BLOCKS_MIN, BLOCKS_MAX = 16, 2048
BLOCK_ROWS_MIN = 8
#: Standard errors that make a difference; and of the upper bound (one-sided 95 %).
CLEAR, UPPER = 3.0, 1.645


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
    rows = len(indices)
    size = max(BLOCK_ROWS_MIN, -(-rows // BLOCKS_MAX))
    blocks = rows // size
    asked = contrasts(columns, _counts(columns, indices))
    if blocks < BLOCKS_MIN:
        return np.ones(len(asked))
    return np.concatenate(
        [_of_column(asked, i, indices[: blocks * size, i], cells.size, size) for i, cells in enumerate(columns)]
    )


def _counts(columns: Sequence[Cells], indices: np.ndarray) -> np.ndarray:
    return np.concatenate([np.bincount(indices[:, i], minlength=cells.size) for i, cells in enumerate(columns)])


def _of_column(asked: Contrasts, column: int, index: np.ndarray, cells: int, size: int) -> np.ndarray:
    blocks = len(index) // size
    counts = np.bincount(np.repeat(np.arange(blocks), size) * cells + index, minlength=blocks * cells)
    scores = asked.matrix(column)
    mean, variance, excess = _moments(scores, counts.reshape(blocks, cells).sum(axis=0))
    sums = counts.reshape(blocks, cells) @ scores.T - size * mean
    ratios, errors = [], []
    while len(sums) >= BLOCKS_MIN:
        ratios.append((sums**2).mean(axis=0) / (size * variance))
        errors.append(np.sqrt((2 + excess / size) / len(sums)))
        even = len(sums) // 2 * 2
        sums, size = sums[:even].reshape(-1, 2, len(scores)).sum(axis=1), size * 2
    return _settle(np.array(ratios), np.array(errors))


def _moments(scores: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and excess kurtosis of each row score, [contrasts]; a constant has variance 1 and excess 0."""
    shares = counts / counts.sum()
    mean = scores @ shares
    squares = (scores - mean[:, None]) ** 2
    variance = squares @ shares
    constant = variance < 1e-12
    variance[constant] = 1.0
    return mean, variance, np.where(constant, 0.0, squares**2 @ shares / variance**2 - 3)


def _settle(ratios: np.ndarray, errors: np.ndarray) -> np.ndarray:
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
