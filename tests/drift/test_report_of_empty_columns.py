"""Evidently's report of a stretch in which a column is gone: that is when one wants to see it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from drift.reports import evidently_html, evidently_process

X = np.random.default_rng(0).normal(size=300)
THEN = pa.table({"x": X, "v": X[::-1].copy(), "c": ["a", "b", "c"] * 100})


def test_columns_without_values_are_left_out_by_name(tmp_path: Path) -> None:
    now = pa.table({"x": X + 1, "v": pa.nulls(300, pa.float64()), "c": pa.nulls(300, pa.string())})
    page = evidently_html.write(now, THEN, tmp_path / "r.html").read_text()
    assert "Without any value, and so not compared: v (now), c (now)" in page


def test_without_any_column_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(evidently_process.ReportError, match=r"no column has values on both sides.*x \(now\)") as error:
        evidently_process.write(pa.table({"x": pa.nulls(3, pa.float64())}), THEN.select(["x"]), tmp_path / "r.html")
    assert "install" not in str(error.value)


def test_what_counts_as_no_value() -> None:
    now = pa.table({"a": [np.nan, np.inf], "b": [1.0, np.nan], "c": pa.nulls(2, pa.string()), "d": [None, "x"]})
    then = pa.table({"a": [1.0, 2.0], "b": pa.nulls(2, pa.float64()), "c": pa.nulls(2, pa.string()), "d": ["x", "y"]})
    assert evidently_html.without_values(now, then) == {"a": "now", "b": "then", "c": "now and then"}
