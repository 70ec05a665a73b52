"""Tables in: one column of anything, CSV in all its ways, and what is refused."""

import decimal
import enum
import gzip
import re
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams import tables
from streams.tables.kinds import coarse
from streams.tables.read import unreadable
from streams.tables.values import ColumnError, column, floats, levels

D = decimal.Decimal


@pytest.mark.parametrize(
    ("values", "kind", "came"),
    [
        (pd.Series(pd.arrays.SparseArray([0.0, 1.5])), pa.float64(), [0.0, 1.5]),
        (pd.arrays.SparseArray([0, 1]), pa.int64(), [0, 1]),
        ([D("1.5"), 0.0, None], pa.float64(), [1.5, 0.0, None]),
        ([D("NaN"), 2.5], pa.float64(), [None, 2.5]),
        ([2**70, 3], pa.float64(), [float(2**70), 3.0]),
        ([2**63], pa.float64(), [float(2**63)]),
        (np.array([1.5, np.nan], np.longdouble), pa.float64(), [1.5, None]),
        (np.array([1.5], np.float16), pa.float32(), [1.5]),
        (pa.array(np.array([1.5], np.float16)), pa.float32(), [1.5]),
        (pd.Series([1, pd.NA], dtype="Int64"), pa.int64(), [1, None]),
        (pd.Series([True, pd.NA], dtype="boolean"), pa.bool_(), [True, None]),
        (pd.Series([True, None, 0, 1.0], dtype=object), pa.bool_(), [True, None, False, True]),
        (pd.Series([pd.NA, "a", 1], dtype=object), pa.string(), [None, "a", "1"]),
        (pd.Series(["a", pd.NA], dtype="string"), pa.string(), ["a", None]),
        (["ok", "bad\ud83d"], pa.string(), ["ok", "bad\\ud83d"]),
        ([uuid.UUID(int=1)], pa.string(), [str(uuid.UUID(int=1))]),
        (pa.array(["a", None], pa.string_view()), pa.string(), ["a", None]),
        (pa.array(["a"]).dictionary_encode(), pa.dictionary(pa.int32(), pa.string()), ["a"]),
        (pa.array(["a"], pa.large_string()).dictionary_encode(), pa.dictionary(pa.int32(), pa.string()), ["a"]),
        (pa.array([0.5, None]).dictionary_encode(), pa.float64(), [0.5, None]),
        (pa.array([7, 7]).dictionary_encode(), pa.int64(), [7, 7]),
        (pa.RunEndEncodedArray.from_arrays([2], [5]), pa.int64(), [5, 5]),
        (pd.Series(["x", None], dtype="category"), pa.dictionary(pa.int32(), pa.string()), ["x", None]),
        (pd.Series([3, 1], dtype="category"), pa.dictionary(pa.int32(), pa.string()), ["3", "1"]),
        (pd.Series(pd.interval_range(0, 2)), pa.string(), ["(0, 1]", "(1, 2]"]),
        (pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()]),
         pa.dictionary(pa.int32(), pa.string()), ["a", "b"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_column_becomes_a_plain_one(values: Any, kind: pa.DataType, came: list[Any]) -> None:
    found = column(values)
    assert (found.type, found.to_pylist()) == (kind, came)


def test_a_period_is_a_time() -> None:
    for values in (pd.Series(pd.period_range("2024-01", periods=2, freq="M")), pd.period_range("2024-01", periods=2)):
        assert pa.types.is_timestamp(column(values).type)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("odd", [Colour.RED, object(), 1 + 2j, {1, 2}, np.complex128(1)])
def test_what_is_no_value_is_refused_by_its_type(odd: object) -> None:
    with pytest.raises(ColumnError, match=type(odd).__name__):
        column(np.array(["a", odd], object))


def test_a_float32_level_has_its_own_shortest_text() -> None:
    assert levels(np.array([0.1, 2.0, np.nan], np.float32))[1] == ["0.1", "2"]
    assert levels(pa.array([0.1], pa.float32()))[1] == levels(pa.array([0.1]))[1] == levels([D("0.10")])[1] == ["0.1"]


def test_numbers_of_any_type_are_the_same_float32() -> None:
    for values in (
        [0.5, 3, None],
        pa.array([D("0.5"), D(3), None]),
        pa.array(["0.5", "3", None]),
        pd.Series([0.5, 3, np.nan], dtype="float32"),
        pa.array([0.5, 3, None]).dictionary_encode(),
    ):
        np.testing.assert_array_equal(floats(values), np.array([0.5, 3, np.nan], np.float32))


def test_a_column_that_cannot_be_read_is_none_that_ends_the_table() -> None:
    table = tables.read(pd.DataFrame({"x": [1.0, 2.0], "z": [1j, 2j], 5: ["a", None]}))
    assert table.column_names == ["x", "z", "5"]
    assert table.column("z").null_count == 2
    assert "complex" in unreadable(table)["z"]


def test_a_pandas_category_of_numbers_is_the_same_from_a_frame_and_from_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"c": pd.Series([3, 1, None, 3], dtype="category"), "n": [3, 1, 2, 3]})
    frame.to_parquet(tmp_path / "c.parquet")
    for table in (
        tables.read(frame),
        tables.read(tmp_path / "c.parquet"),
        tables.read(pa.Table.from_pandas(frame)),
        tables.read(pq.read_table(tmp_path / "c.parquet")),
    ):
        assert table.column("c").to_pylist() == ["3", "1", None, "3"]
        assert pa.types.is_integer(table.column("n").type)


# CSV -------------------------------------------------------------------------------------------------------------


def of_csv(tmp_path: Path, text: str | bytes, kinds: Any = None, name: str = "t.csv") -> pa.Table:
    path = tmp_path / name
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return tables.read(path, kinds)


@pytest.mark.parametrize(
    ("cells", "kind", "came"),
    [
        (["1", "", "3"], pa.int64(), [1, None, 3]),
        (["1", "2.5", "n/a"], pa.float64(), [1.0, 2.5, None]),
        (["-1e3", ".5", "7."], pa.float64(), [-1000.0, 0.5, 7.0]),
        (["01", "2", "3"], pa.string(), ["01", "2", "3"]),
        (["-01", "2", "3"], pa.string(), ["-01", "2", "3"]),
        (["0", "0.5", "-0"], pa.float64(), [0.0, 0.5, 0.0]),
        (["True", "false", "NA"], pa.bool_(), [True, False, None]),
        (["NA", "DE", ""], pa.string(), ["NA", "DE", None]),
        (["1", "A7", "2"], pa.string(), ["1", "A7", "2"]),
        (["", "", ""], pa.null(), [None, None, None]),
        ([" 5", "6 ", "7"], pa.int64(), [5, 6, 7]),
        (["99999999999999999999", "1", "2"], pa.float64(), [1e20, 1.0, 2.0]),
        (["a\nb", "c,d", 'e"f'], pa.string(), ["a\nb", "c,d", 'e"f']),
    ],
    ids=str,
)
def test_a_csv_column_is_what_all_of_it_says(
    tmp_path: Path, cells: list[str], kind: pa.DataType, came: list[Any]
) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({"v": cells, "w": 1}).to_csv(path, index=False)
    found = tables.read(path).column("v")
    assert (found.type, found.to_pylist()) == (kind, came)


def test_a_late_fraction_a_late_text_and_a_late_zero_count(tmp_path: Path) -> None:
    many = "\n".join(["7"] * 300_000)
    for late, kind in (("7.5", pa.float64()), ("x", pa.string()), ("07", pa.string()), ("n/a", pa.int64())):
        assert of_csv(tmp_path, f"v\n{many}\n{late}\n").column("v").type == kind


@pytest.mark.parametrize(
    ("cells", "kind", "came"),
    [
        (["+3", "-4", "5"], pa.int64(), [3, -4, 5]),
        (["+3.5", "4"], pa.float64(), [3.5, 4.0]),
        (["2024-01-31", "0000-00-00"], pa.string(), ["2024-01-31", "0000-00-00"]),
        (["2024-02-30", "2024-02-01"], pa.string(), ["2024-02-30", "2024-02-01"]),
        (["2016-12-31T23:59:60Z"], pa.string(), ["2016-12-31T23:59:60Z"]),
        (["2024-13-01 10:00", ""], pa.string(), ["2024-13-01 10:00", None]),
    ],
    ids=str,
)
def test_what_looks_like_a_number_or_a_time_and_is_none_ends_nothing(
    tmp_path: Path, cells: list[str], kind: pa.DataType, came: list[Any]
) -> None:
    table = of_csv(tmp_path, "v,w\n" + "".join(f"{cell},1\n" for cell in cells))
    assert (table.column("v").type, table.column("v").to_pylist()) == (kind, came)


@pytest.mark.parametrize(("cells", "came"), [("True\nFalse\n", [1.0, 0.0]), ("true\n NA\nTRUE\n", [1.0, None, 1.0])])
def test_truth_values_of_a_numeric_column_are_ones_and_noughts_as_in_a_frame(
    tmp_path: Path, cells: str, came: list[Any]
) -> None:
    assert of_csv(tmp_path, "v\n" + cells, {"v": "numeric"}).column("v").to_pylist() == came
    frame = pd.DataFrame({"v": pd.array([None if value is None else bool(value) for value in came], "boolean")})
    expected = [np.nan if value is None else value for value in came]
    np.testing.assert_array_equal(floats(tables.read(frame).column("v")), np.float32(expected))
    with pytest.raises(tables.TableError, match="numeric expected, got 'True' in row 1"):
        of_csv(tmp_path, "v\n0.5\nTrue\n", {"v": "numeric"})


def test_a_tsv_is_separated_by_tabs_though_a_name_has_a_comma(tmp_path: Path) -> None:
    assert of_csv(tmp_path, "a\tb,c\n1\tx,y\n", name="t.tsv").to_pydict() == {"a": [1], "b,c": ["x,y"]}


def test_a_csv_is_read_by_the_kinds_that_it_should_have(tmp_path: Path) -> None:
    text = "zip,n,b\n01234,007,1.0\n,NA,FALSE\n90210,1e2,\n"
    table = of_csv(tmp_path, text, {"zip": "categorical", "n": "numeric", "b": "boolean"})
    assert table.to_pydict() == {"zip": ["01234", None, "90210"], "n": [7, None, 100], "b": [True, False, None]}


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"v": "numeric"}, "v: numeric expected, got 'A7' in row 1"),
        ({"v": "boolean"}, "true or false expected, got '5'"),
    ],
)
def test_a_csv_cell_of_another_kind_is_named(tmp_path: Path, kinds: Any, words: str) -> None:
    with pytest.raises(tables.TableError, match=words):
        of_csv(tmp_path, "v,w\n5,1\nA7,2\n", kinds)


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "a.csv"), ("\t", "a.tsv"), ("\t", "a.txt"), ("|", "a.csv.gz"), (",", "a.csv")]
)
def test_separators(tmp_path: Path, separator: str, name: str) -> None:
    text = separator.join(["a", '"b,c;d"', "e"]) + "\n" + separator.join(["1", '"x|y"', "2.5"]) + "\n"
    assert of_csv(tmp_path, text, name=name).to_pydict() == {"a": [1], "b,c;d": ["x|y"], "e": [2.5]}


def test_a_decimal_comma_where_the_comma_separates_nothing(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "a;b;c\n1,5;x,y;3\n-2;z;1\n")
    assert table.to_pydict() == {"a": [1.5, -2.0], "b": ["x,y", "z"], "c": [3, 1]}
    assert of_csv(tmp_path, "a;b\n1,5;x\n", {"a": "numeric"}).column("a").to_pylist() == [1.5]


def test_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    assert of_csv(tmp_path, "\ufeffa,b\r\n1,x\r\n2,y\r\n").to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("ort,n\nK\xf6ln,1\n".encode("latin-1"), "not UTF-8"),
        (("a,b\n" + "1,2\n" * 50_000).encode() + "ö,3\n".encode("latin-1"), "not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a\x00,b\n1,2\n", "zero bytes"),
        (b"PK\x03\x04abc", "spreadsheet"),
        (b"PAR1abc", "Parquet"),
        (b"", "is empty"),
        (b"a,b,a\n1,2,3\n", "'a' stands twice"),
        (b"a b\n1.5 x\n2 y\n", "separated by ' '"),
        (b"a^b\n1^2\n", "separated by '\\^'"),
        (b"sep=;\na;b\n1;2\n", "begins with the line 'sep=;'"),
        (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        (b"a,b\n1,2\n3,4,5\n", "another number of columns"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_csv_is_refused_by_name(tmp_path: Path, raw: bytes, words: str) -> None:
    with pytest.raises(tables.TableError, match=rf"t\.csv.*{words}"):
        of_csv(tmp_path, raw)


def test_odd_headers(tmp_path: Path) -> None:
    table = of_csv(tmp_path, '\n"a\nb", c,"d ""e""",\n1,2,3,4\n')
    assert table.to_pydict() == {"a\nb": [1], " c": [2], 'd "e"': [3], "": [4]}


@pytest.mark.parametrize("text", ["full name\nJane Doe\nJohn Roe\n", "v\n1.5\n2\n", "v w\n", "at\n10:30\n11:15\n"])
def test_a_file_of_one_column_is_one(tmp_path: Path, text: str) -> None:
    assert len(of_csv(tmp_path, text).column_names) == 1


def test_no_rows(tmp_path: Path) -> None:
    table = of_csv(tmp_path, "a,b\n")
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


# What float32 hides ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (1e9 + np.arange(-5.0, 6), "'v' is kept in steps of 64.*subtract 1e\\+09"),
        (1.7e12 + np.arange(0.0, 1000), "steps of 1.31e\\+05"),
        (np.array([1e-50, 3e-50]), "takes as 0; multiply"),
        (np.array([1e39, 1e40]), "takes as infinite"),
    ],
)
def test_what_float32_hides_is_said(values: np.ndarray, words: str) -> None:
    assert re.search(words, coarse("v", values))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(100.0),
        np.zeros(5),
        np.array([np.nan]),
        np.zeros(0),
        1.7e12 + 1e6 * np.arange(1000.0),
        np.array([0.0] * 99 + [1e9]),
        np.array([2.0**30, 2.0**31]),
        np.random.default_rng(0).normal(size=1000),
        np.array([1e9, 2e9]),
    ],
)
def test_what_float32_holds_is_not_talked_of(values: np.ndarray) -> None:
    assert coarse("v", values) == ""
