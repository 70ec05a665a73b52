"""Evidently's report of a stretch in which a column is gone: that is when one wants to see it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from drift.analysis.report import evidently_html, evidently_process

pytestmark = pytest.mark.system  # minutes: `make test-all`

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


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_names_and_levels_are_no_markup(kind: pa.DataType) -> None:
    rows = pa.table({"<img src=x>": pa.array(["</script><script>alert(1)</script>", None]).cast(kind)})
    (name,) = (plain := evidently_html.without_markup(rows)).column_names
    assert not set("<>") & {*name, *plain.column(0)[0].as_py()} and plain.column(0).null_count == 1


def test_columns_stay_apart_where_their_plain_names_are_one() -> None:
    rows = pa.table({"<a>": [1.0], "‹a›": [2.0], "b": [3.0]})  # noqa: RUF001
    plain = evidently_html.without_markup(rows)
    assert len(set(plain.column_names)) == 3 and plain.columns[1][0].as_py() == 2.0


def test_what_clients_sent_is_no_script_on_evidentlys_page(tmp_path: Path) -> None:
    # Evidently writes names and levels into a script of its page as they stand.
    evil = "</script><script>alert(1)</script>"
    now = pa.table({"<img src=x onerror=alert(2)>": X + 1, "c": [evil, "b", "c"] * 100})
    then = now.set_column(0, now.column_names[0], pa.array(X))
    page = evidently_html.write(now, then, tmp_path / "r.html").read_text()
    assert "<script>alert" not in page and "<img src=x" not in page
