"""Faults of labels: those that name no class of the model, or are no number where it predicts one.

They count neither as negatives nor as wrong. They are counted by themselves, for then something is broken that is not
the model: whoever sends the labels.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from drift.cells.columns import arrow, floats, levels
from drift.cells.profile import Profile

#: So many texts are kept by name, the most frequent ones, and so much of each; the others are pooled.
TEXTS_MAX, CHARACTERS_MAX = 8, 40
OTHERS = "others"


def usable_label(reference: Profile, label: str) -> str | None:
    """A label as the model's own classes or numbers spell it; None where it is a fault.

    >>> import pandas as pd
    >>> from drift import Reference
    >>> table = pd.DataFrame({"x": [1, 2, 3, 4], "p": [0.1, 0.2, 0.8, 0.9], "y": [0, 0, 1, 1]})
    >>> reference = Reference.fit(table, task="binary", score="p", label="y")
    >>> usable_label(reference, "True"), usable_label(reference, "maybe")
    ('1', None)
    """
    if reference.task == "regression":
        return label if number(label) is not None else None
    return reference.class_reader.of(label)


def number(label: str) -> float | None:
    """Read the number that a label is; None where it is none that a float32 holds."""
    try:
        value = float(label)
    except ValueError:
        return None
    return value if abs(value) <= float(np.finfo(np.float32).max) else None


def numbers(label: Any) -> np.ndarray:
    """Read a regression's labels as float32 [rows]; NaN where there is none, or one that is no number.

    >>> numbers(["1.5", "n/a", None])
    array([1.5, nan, nan], dtype=float32)
    """
    values = arrow(label)
    if is_number(values.type):
        return floats(values, "label")
    codes, texts = levels(values)
    numbers_by_level = [None if text is None else number(text) for text in texts]
    values_of_rows: np.ndarray = np.array([*numbers_by_level, None], np.float32)[codes]
    return values_of_rows


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers, and not their texts."""
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


def label_faults(reference: Profile, label: Any) -> dict[str, int]:
    """Count the labels of rows that are faults, by their text.

    Parameters
    ----------
    label
        Arrow array, Series, NumPy array or list; null is a label that has not come.
    """
    values = arrow(label)
    if reference.task == "regression" and is_number(values.type):  # Millions of different texts would say no more.
        infinite = int(np.isinf(floats(values)).sum())
        return {"infinity": infinite} if infinite else {}
    codes, texts = levels(values)
    rows = np.bincount(codes[codes >= 0], minlength=len(texts))
    pairs = ((text, n) for text, n in zip(texts, rows.tolist(), strict=True) if text is not None)
    return shortened((text, n) for text, n in pairs if usable_label(reference, text) is None)


def shortened(faults: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add up faults by their text in quotes: the most frequent by name, the rest pooled.

    >>> shortened([("maybe", 2), ("n/a", 1), ("maybe", 1)])
    {"'maybe'": 3, "'n/a'": 1}
    """
    total: Counter[str] = Counter()
    for text, rows in faults:
        if rows:
            total[repr(text if len(text) <= CHARACTERS_MAX else text[: CHARACTERS_MAX - 1] + "…")] += rows
    ranked = sorted(total.items(), key=lambda fault: (-fault[1], fault[0]))
    rest = sum(rows for _, rows in ranked[TEXTS_MAX:])
    return dict(ranked[:TEXTS_MAX]) | ({OTHERS: rest} if rest else {})
