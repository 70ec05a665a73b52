"""Our front on the driver."""

import datetime as dt
import socket
import threading

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from drift.store import Store, StoreError, StoreSettings, StoreUnavailable
from drift.store.values import driver_columns


@pytest.fixture
def table(store: Store) -> Store:
    store.rows(
        "CREATE TABLE t (n Int64, x Float32, s LowCardinality(Nullable(String)), a Array(Int64)) ENGINE = Memory"
    )
    return store


def test_columns_of_every_make_go_in(table: Store) -> None:
    sent = {
        "n": pd.Series([1, 2, 3]),
        "x": pa.array([0.5, None, 1.5], pa.float32()),
        "s": pa.array(["a", None, "a"]).dictionary_encode(),
    }
    assert table.insert("t", sent) == 3
    assert table.insert("t", {"n": [4], "a": [np.array([1, 2])], "s": ["b"]}) == 1
    assert table.insert("t", pa.RecordBatch.from_pydict({"n": [5], "x": pa.array([2.0], pa.float32())})) == 1
    assert table.insert("t", {"n": []}) == 0
    rows = table.rows("SELECT n, x, s, a FROM t ORDER BY n")
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    assert np.isnan(rows[1][1])
    assert [row[2] for row in rows] == ["a", None, "a", "b", None]
    assert rows[3][3] == [1, 2]


def test_a_server_that_is_there_is_told_from_one_that_hangs_within_its_deadline(store: Store) -> None:
    asked = Store(msgspec.structs.replace(store.settings, answer_s_max=1.0))
    for _ in range(3):
        asked.ask()
    asked.close()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # its kernel takes connections; nobody answers
        host, port = silent.getsockname()
        hangs = Store(msgspec.structs.replace(store.settings, host=host, port=port, answer_s_max=0.2))
        with pytest.raises(StoreUnavailable, match=f"the store at {host}:{port} does not answer"):
            hangs.ask()


def test_what_cannot_go_in_is_refused_before_it_is_sent(table: Store) -> None:
    with pytest.raises(ValueError, match="different lengths"):
        table.insert("t", {"n": [1, 2], "x": [0.5]})
    with pytest.raises(ValueError, match="cut them"):
        table.insert("t", {"n": np.zeros(1_048_577)})
    with pytest.raises(TypeError, match="IS NULL"):
        table.rows("SELECT {x:String}", {"x": None})
    assert table.rows("SELECT count() FROM t") == [(0,)]


def test_a_frame_and_an_arrow_table_come_out(table: Store) -> None:
    table.insert("t", {"n": [1, 2], "x": [0.5, 1.5], "s": ["a", None]})
    frame = table.query("SELECT n, x, s FROM t WHERE n >= {n:Int64} ORDER BY n", {"n": 2})
    assert frame.to_dict("list") == {"n": [2], "x": [1.5], "s": [None]}
    assert str(frame.dtypes["x"]) == "float32"
    arrow = table.arrow("SELECT n, s FROM t WHERE 0")
    assert (arrow.num_rows, arrow.schema.names) == (0, ["n", "s"])


def test_instants_keep_their_milliseconds(store: Store) -> None:
    at = dt.datetime(2026, 11, 21, 4, 5, 6, 789_000, dt.timezone(dt.timedelta(hours=2)))
    sql = "SELECT toUnixTimestamp64Milli({t:DateTime64(3, 'UTC')}), toUnixTimestamp64Milli({m:DateTime64(3, 'UTC')})"
    ms = round(at.timestamp() * 1000)
    assert store.rows(sql, {"t": at, "m": ms}) == [(ms, ms)]


def test_errors_carry_the_code_and_the_client_goes_on(store: Store) -> None:
    with pytest.raises(StoreError, match="nowhere") as refused:
        store.rows("SELECT * FROM nowhere")
    assert refused.value.code == 60
    assert store.rows("SELECT 1") == [(1,)]


def test_nobody_there(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StoreUnavailable, match="is it running"):
        Store.connect(StoreSettings(port=port))


def test_no_such_database(store: Store) -> None:
    with pytest.raises(StoreError) as refused:
        Store.connect(msgspec.structs.replace(store.settings, database="nowhere"))
    assert refused.value.code == 81


@pytest.mark.system  # many threads
def test_one_store_for_many_threads(table: Store) -> None:
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for n in range(20):
                table.insert("t", {"n": [who * 100 + n]})
                assert table.rows("SELECT {who:Int32}", {"who": who}) == [(who,)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert table.rows("SELECT count(), uniqExact(n) FROM t") == [(120, 120)]


def test_a_column_of_lists_sends_all_as_lists() -> None:
    names, values, as_numpy = driver_columns({"a": [[1], []], "b": np.array([1, 2]), "c": pa.array([[True], None])})
    assert (names, values, as_numpy) == (["a", "b", "c"], [[[1], []], [1, 2], [[True], None]], False)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://host/db", "no clickhouse://"),
        ("clickhouse://ana:secret@host/db", "holds a password"),
        ("clickhouse://host/db?compresion=lz4", "asks for"),
    ],
)
def test_urls_that_are_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        StoreSettings.from_url(url)
    assert "secret" not in str(refused.value)
