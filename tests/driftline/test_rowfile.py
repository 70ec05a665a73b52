"""Rows of files as JSON has them, whatever wrote the file."""

import datetime as dt
import decimal
import gzip
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftline.commands.row_files import RowFile, RowFileError


def rows(path: Path, **which: Any) -> list[dict[str, Any]]:
    return [row for batch in RowFile(path, **which).batches() for row in batch]


@pytest.mark.parametrize(
    ("late", "first", "last"),
    [
        ("100.5", 100.0, 100.5),
        ("A7", 100, "A7"),
        ("n/a", 100, None),
        ("", 100, None),
        ("007", 100, "007"),
        ("true", 100, "true"),
        ("1e3", 100.0, 1000.0),
        ("100.50", 100.0, 100.5),
        ("2024-01-31", 100, "2024-01-31"),
    ],
)
def test_a_late_cell_of_another_type_stops_nothing(tmp_path: Path, late: str, first: Any, last: Any) -> None:
    path = tmp_path / "late.csv"
    with path.open("w") as file:
        file.write("customer,amount,city\n")
        file.writelines(f"{i},100,Rome\n" for i in range(100_000))
        file.write(f"100000,{late},Rome\n")
    found = rows(path)
    assert (len(found), RowFile(path).total) == (100_001, 100_001)
    assert found[0] == {"customer": 0, "amount": first, "city": "Rome"}
    assert found[-1] == {"customer": 100_000, "amount": last, "city": "Rome"}
    assert type(found[0]["amount"]) is type(first)


def test_a_level_is_sent_as_a_number_only_where_that_is_the_same_level(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("v\n" + "\n".join(["x", "10", "1.5", "1.50", "01", "1e2", "-0", "99999999999999999999"]) + "\n")
    assert [row["v"] for row in rows(path)] == ["x", 10, 1.5, "1.50", "01", "1e2", "-0", "99999999999999999999"]


def test_a_folder_is_not_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").mkdir()
    with pytest.raises(RowFileError, match=r"rows\.parquet is a folder; name one of its files"):
        RowFile(tmp_path / "rows.parquet")
    with pytest.raises(RowFileError, match=r"none\.parquet is not there"):
        RowFile(tmp_path / "none.parquet")


@pytest.mark.parametrize("name", ["t.csv.gz", "t.tsv", "t.txt", "t.CSV"])
def test_endings_separators_and_decimal_commas(tmp_path: Path, name: str) -> None:
    raw = b"\xef\xbb\xbfa;b;c\r\n1,5;x,y;true\r\n2;;False\r\n"
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert rows(tmp_path / name) == [{"a": 1.5, "b": "x,y", "c": True}, {"a": 2.0, "b": None, "c": False}]


@pytest.mark.parametrize(
    ("column", "came"),
    [
        (pa.array([decimal.Decimal("5.25"), None]), [5.25, None]),
        (pa.array([decimal.Decimal(7), None], pa.decimal128(12, 0)), [7, None]),
        (pa.array([1.5, np.nan], pa.float16()), [1.5, None]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
        (pa.array([7, None]).dictionary_encode(), [7, None]),
        (pa.array([uuid.UUID(int=1).bytes, None], pa.uuid()), [str(uuid.UUID(int=1)), None]),
        (pa.array([dt.date(2024, 1, 31), None]), ["2024-01-31", None]),
        (pa.array([dt.datetime(2024, 1, 31, 8), None]), ["2024-01-31T08:00:00.000Z", None]),
        (pa.nulls(2), [None, None]),
        (pa.array([True, None]), [True, None]),
        (pa.array([2**60, None]), [2**60, None]),
    ],
    ids=str,
)
def test_what_parquet_holds(tmp_path: Path, column: pa.Array, came: list[Any]) -> None:
    pq.write_table(pa.table({"v": column}), tmp_path / "t.parquet")
    found = [row["v"] for row in rows(tmp_path / "t.parquet")]
    assert found == came and [type(value) for value in found] == [type(value) for value in came]


def test_only_the_columns_that_are_wanted_are_looked_at(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_csv(tmp_path / "t.csv", index=False)
    assert rows(tmp_path / "t.csv", only=["b"]) == [{"b": "x"}, {"b": "y"}]
    assert rows(tmp_path / "t.csv", leave=["b"]) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("a,b\n1,Köln\n".encode("latin-1"), "not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,a\n1,2\n", "'a' stands twice"),
        (b"a\n1\ninf\n", "row 1: column 'a' is infinite"),
        (b"", "is empty"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_by_name(tmp_path: Path, raw: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(raw)
    with pytest.raises(RowFileError, match=rf"t\.csv.*{words}"):
        rows(tmp_path / "t.csv")


def test_a_column_that_is_left_out_is_not_sent_though_its_name_begins_like_anothers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "a.b": [2], "b": [3]}), tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet", leave=["a.b"]) == [{"a": 1, "b": 3}]
    assert rows(tmp_path / "t.parquet", only=["a.b"]) == [{"a.b": 2}]


def test_lines_as_python_writes_them(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'\xef\xbb\xbf{"x": NaN, "s": "NaN"}\n{"x": 1.5, "s": "a"}\n')
    assert rows(tmp_path / "t.jsonl") == [{"x": None, "s": "NaN"}, {"x": 1.5, "s": "a"}]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"x": Infinity}', "Infinity is no JSON"),
        ('{"x": NaN, "y": -Infinity}', "column 'y' is infinite"),
        ('{"x": "\\ud83d"}', "half a surrogate pair"),
        ('{"x": 1} {"x": 2}', "each line must be one JSON object"),
    ],
)
def test_what_is_no_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "t.jsonl").write_text('{"x": 1}\n' + line)
    with pytest.raises(RowFileError, match=f"line 2: .*{words}"):
        rows(tmp_path / "t.jsonl")
