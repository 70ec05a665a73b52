"""Codes for missing values: told of labels and columns, and of nothing that may be a true value."""

import numpy as np
import pandas as pd
import pytest

from drift import Reference
from drift.cells.binning import Sorted
from drift.reference.missing_codes import code_note


@pytest.mark.parametrize(
    ("code", "rows", "told"),
    [(-999, 20, True), (-9999, 20, True), (999, 20, True), (-999, 4, False), (-1000, 20, False), (9, 20, False)],
)
def test_only_nines_far_from_all_others_in_several_rows_are_told(code: int, rows: int, told: bool) -> None:
    values = np.random.default_rng(1).uniform(0, 50, 2_000).astype(np.float32)
    values[:rows] = code
    assert bool(code_note("x", Sorted(values))) is told


def test_nines_that_continue_the_others_are_true_values() -> None:
    assert code_note("price", Sorted(np.float32([*np.arange(0, 999, 5), *[999] * 20]))) == ""


def test_a_share_of_labels_and_of_a_column_is_told_when_a_reference_is_fitted() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=4_000)
    rows = pd.DataFrame({"x": x, "z": rng.uniform(0, 9, 4_000), "p": 2 * x, "y": 2 * x + rng.normal(size=4_000)})
    rows.loc[:39, "y"], rows.loc[100:179, "z"] = -999, -9999
    reference = Reference.fit(rows, task="regression", score="p", label="y")
    (of_label,) = [note for note in reference.warnings if "missing value" in note]
    assert of_label.startswith("label 'y': 1 % of its values are -999, far from all others, which lie between ")
    (of_column,) = [note for note in reference.notes if "missing value" in note and note != of_label]
    assert of_column.startswith("'z': 2 % of its values are -9999, far from all others")
