"""Features that give the label away: one column alone says it, so it was probably written down after the fact.

Each feature by itself predicts the label: its values are cut into cells, each cell answers with the majority (or the
mean) of one half of the rows, and is held against the other half. A column of codes that no two rows share therefore
gains nothing.

>>> y = np.array(["no", "yes"] * 100)
>>> says({"paid": (y == "yes") * 1.0, "age": np.arange(200) % 7.0}, y)
{'paid': 'it alone tells the class of 100 % of the rows'}
"""

from collections.abc import Mapping

import numpy as np

ROWS_MIN = 60
ROWS_MAX = 40_000
#: Share of the errors of a guess without the feature, or of the label's variance, that must be gone.
GONE = 0.98
_CELLS_MAX = 256
_ROWS_A_CELL = 20


def says(features: Mapping[str, np.ndarray], label: np.ndarray) -> dict[str, str]:
    """Which features say the label by themselves, and how well, in words.

    Parameters
    ----------
    features
        Columns as a model takes them, float [rows]; NaN is missing.
    label
        Texts (object or str) for classes, None where there is none; floats for a quantity, NaN where there is none.
    """
    quantity = label.dtype.kind == "f"
    known = np.isfinite(label) if quantity else np.array([value is not None for value in label])
    chosen = np.flatnonzero(known)
    chosen = chosen[:: len(chosen) // ROWS_MAX + 1]
    if len(chosen) < ROWS_MIN:
        return {}
    truth = label[chosen]
    if not quantity:
        truth = np.unique(truth.astype(str), return_inverse=True)[1]
    # Rows may be sorted or alternate: halves are dealt by chance, the same each time.
    learn = np.random.default_rng(0).random(len(chosen)) < 0.5
    measure = _variance_explained if quantity else _classes_told
    findings = {name: measure(_cells(column[chosen]), truth, learn) for name, column in features.items()}
    return {name: how for name, how in findings.items() if how}


def _cells(column: np.ndarray) -> np.ndarray:
    """Cell of each row: its value where those are few, else its quantile; the missing ones have a cell of their own."""
    missing = np.isnan(column)
    values, places = np.unique(column[~missing], return_inverse=True)
    cells_max = min(_CELLS_MAX, max(2, len(places) // _ROWS_A_CELL))
    if len(values) > cells_max:
        edges = np.unique(np.quantile(column[~missing], np.linspace(0, 1, cells_max + 1)[1:-1]))
        places = np.searchsorted(edges, column[~missing], side="right")
    cells = np.zeros(len(column), np.int64)
    cells[~missing] = places + 1
    return cells


def _classes_told(cells: np.ndarray, truth: np.ndarray, learn: np.ndarray) -> str:
    size = int(truth.max()) + 1
    counts = np.bincount(cells[learn] * size + truth[learn], minlength=(int(cells.max()) + 1) * size).reshape(-1, size)
    guess = np.bincount(truth[learn], minlength=size).argmax()
    answers = np.where(counts.sum(1) > 0, counts.argmax(1), guess)
    test = ~learn
    right = float((answers[cells[test]] == truth[test]).mean())
    without = float((truth[test] == guess).mean())
    if without == 1 or (1 - right) > (1 - GONE) * (1 - without):
        return ""
    return f"it alone tells the class of {100 * right:.4g} % of the rows"


def _variance_explained(cells: np.ndarray, truth: np.ndarray, learn: np.ndarray) -> str:
    sums = np.bincount(cells[learn], truth[learn], int(cells.max()) + 1)
    many = np.bincount(cells[learn], minlength=int(cells.max()) + 1)
    mean = truth[learn].mean()
    answers = np.where(many > 0, sums / np.maximum(many, 1), mean)
    test = ~learn
    left = float(((truth[test] - answers[cells[test]]) ** 2).sum())
    whole = float(((truth[test] - mean) ** 2).sum())
    if whole == 0 or left > (1 - GONE) * whole:
        return ""
    return f"it alone explains {100 * (1 - left / whole):.4g} % of the label's variance"
