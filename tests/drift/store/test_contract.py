"""What every ClickHouse must do for us, held against the embedded one and real servers with one and the same driver."""

import datetime as dt
import decimal
import ipaddress
import threading
import uuid

import numpy as np
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from drift.store import StoreSettings

UTC = dt.UTC
# A type and values that must come back as they went.
ROUND_TRIPS = [
    ("Int8", [-128, 0, 127]),
    ("UInt64", [0, 2**64 - 1]),
    ("Int128", [-(2**127), 2**127 - 1]),
    ("UInt256", [0, 2**256 - 1]),
    ("Float32", [0.5, -0.0, float("inf")]),
    ("Float64", [1e-300, 0.1]),
    ("Bool", [True, False]),
    ("String", ["", "a", "é☃", "x" * 127, "x" * 128, "y" * 20_000, "z" * 3_000_000]),
    ("FixedString(4)", ["abcd", "é☃"[:1] + "xy"]),
    ("LowCardinality(String)", ["a", "b", "a", ""]),
    ("LowCardinality(Nullable(String))", ["a", None, "b", None]),
    ("Nullable(Float32)", [None, 1.5]),
    ("Array(String)", [[], ["a", "b" * 200], [""]]),
    ("Array(Array(LowCardinality(Nullable(String))))", [[], [[], ["a", None]], [["b"]]]),
    ("Array(Int64)", [[1, 2], [], [3]]),
    ("Tuple(Int8, Nullable(String))", [(1, "a"), (2, None)]),
    ("Map(String, Array(UInt8))", [{}, {"a": [1, 2], "b": []}]),
    ("Map(LowCardinality(String), UInt64)", [{"a": 1}, {}]),
    ("Enum8('a,b)' = 1, 'it\\'s' = 2)", ["a,b)", "it's"]),
    ("UUID", [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)]),
    ("IPv4", [ipaddress.IPv4Address("127.0.0.1")]),
    ("IPv6", [ipaddress.IPv6Address("::1")]),
    ("Date", [dt.date(2026, 11, 21)]),
    ("Date32", [dt.date(1950, 1, 1)]),
    ("DateTime('UTC')", [dt.datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)]),
    ("DateTime64(3, 'UTC')", [dt.datetime(2026, 11, 21, 1, 2, 3, 4000, tzinfo=UTC)]),
    ("Decimal(9, 2)", [decimal.Decimal("-1.25")]),
    ("Decimal(76, 10)", [decimal.Decimal("123456789012345678901234567890.0123456789")]),
    ("SimpleAggregateFunction(sum, Int64)", [5]),
    ("Nested(a Int8, b String)", [[(1, "x"), (2, "y")], []]),
]


@pytest.mark.parametrize("compression", [False, "lz4", "zstd"])
@pytest.mark.parametrize(("type_name", "values"), ROUND_TRIPS, ids=[name for name, _ in ROUND_TRIPS])
def test_types_round_trip(server: StoreSettings, type_name: str, values: list, compression: str | bool) -> None:
    with client_for(server, compression=compression, settings={"flatten_nested": 0}) as client:
        client.execute(f"CREATE OR REPLACE TABLE round (n Int32, v {type_name}, after String) ENGINE = Memory")
        rows = [(n, value, f"after {n}") for n, value in enumerate(values)]
        assert client.execute("INSERT INTO round (n, v, after) VALUES", rows) == len(rows)
        assert client.execute("SELECT * FROM round ORDER BY n") == rows


def test_a_select_without_rows_has_its_columns(client: Client) -> None:
    rows, columns = client.execute("SELECT 1 AS a, 'x' AS b WHERE 0", with_column_types=True)
    assert rows == []
    assert columns == [("a", "UInt8"), ("b", "String")]


def test_a_show_without_rows_has_its_columns(client: Client) -> None:
    rows, columns = client.execute("SHOW TABLES LIKE 'nothing like this'", with_column_types=True)
    assert (rows, columns) == ([], [("name", "String")])


def test_a_time_zone_stays_with_its_column(client: Client) -> None:
    sql = "SELECT toDateTime('2026-11-21 12:00:00', 'Asia/Tokyo') AS t, number FROM numbers(150000)"
    rows, columns = client.execute(sql, with_column_types=True)
    assert columns[0] == ("t", "DateTime('Asia/Tokyo')")
    assert {t.utcoffset() for t, _ in rows} == {dt.timedelta(hours=9)}


def test_statements_that_give_nothing(client: Client) -> None:
    assert client.execute("CREATE TABLE IF NOT EXISTS nothing (a Int8) ENGINE = Memory") == []
    assert client.execute("INSERT INTO nothing SELECT 1") == []
    assert client.execute("INSERT INTO nothing VALUES", []) == 0
    assert client.execute("SELECT * FROM nothing") == [(1,)]
    assert ("nothing",) in client.execute("SHOW TABLES")
    client.execute("DROP TABLE nothing")
    assert ("nothing",) not in client.execute("SHOW TABLES")


def test_a_result_of_many_blocks(client: Client) -> None:
    rows = client.execute("SELECT number, toString(number) FROM numbers(200000) ORDER BY number")
    assert len(rows) == 200_000
    assert rows[123_456] == (123_456, "123456")


def test_a_result_is_read_as_it_comes(client: Client) -> None:
    stream = client.execute_iter("SELECT number FROM system.numbers LIMIT 500000", settings={"max_block_size": 1000})
    assert sum(n for (n,) in stream) == 499_999 * 500_000 // 2


def test_an_insert_of_many_blocks(client: Client) -> None:
    client.execute("CREATE OR REPLACE TABLE many (n Int64, t String) ENGINE = MergeTree ORDER BY n")
    rows = [(n, f"row {n}") for n in range(25_000)]
    client.execute("INSERT INTO many VALUES", rows, settings={"insert_block_size": 1000})
    assert client.execute("SELECT count(), sum(n), uniqExact(t) FROM many") == [(25_000, sum(range(25_000)), 25_000)]


def test_numpy(server: StoreSettings) -> None:
    n = 50_000
    columns = {
        "i": np.arange(n, dtype=np.int64),
        "f": np.linspace(0, 1, n, dtype=np.float32),
        "s": np.array([f"id-{k}" for k in range(n)], dtype=object),
        "c": np.array(["Rome", None, "Oslo", "Rome", ""] * (n // 5), dtype=object),
        "t": np.arange(n).astype("datetime64[ms]"),
    }
    with client_for(server, settings={"use_numpy": True}) as client:
        client.execute(
            "CREATE OR REPLACE TABLE numpy (i Int64, f Float32, s String, c LowCardinality(Nullable(String)),"
            " t DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY i"
        )
        client.execute("INSERT INTO numpy VALUES", list(columns.values()), columnar=True)
        back = client.execute("SELECT i, f, s, c, t FROM numpy ORDER BY i", columnar=True)
    for name, values in zip(columns, back, strict=True):
        if name == "c":
            assert [None if v != v else v for v in values] == list(columns["c"])
        else:
            assert np.array_equal(np.asarray(values), columns[name]), name


@pytest.mark.parametrize("text", ["plain", "it's", "back\\slash", "tab\tnew\nline", "\\N", "é☃", "", "'; DROP TABLE x"])
def test_parameters_are_bound_by_the_server(server: StoreSettings, text: str) -> None:
    with client_for(server, settings={"server_side_params": True}) as client:
        sql = "SELECT {t:String}, {a:Array(String)}, {n:Int64} + 1, {f:Float64}"
        assert client.execute(sql, {"t": text, "a": [text, "b"], "n": 41, "f": 0.5}) == [(text, [text, "b"], 42, 0.5)]


def test_parameters_without_rows_still_name_the_columns(server: StoreSettings) -> None:
    with client_for(server, settings={"server_side_params": True}) as client:
        _, columns = client.execute("SELECT {n:Int32} AS n WHERE {n:Int32} > 5", {"n": 1}, with_column_types=True)
    assert columns == [("n", "Int32")]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT nope", 47),
        ("SELECT * FROM nowhere", 60),
        ("SELEKT 1", 62),
        ("SELECT throwIf(number = 150000) FROM numbers(300000)", 395),
        ("INSERT INTO nowhere VALUES", 60),
        ("CREATE TABLE t (a Nope) ENGINE = Memory", 50),
    ],
)
def test_an_exception_leaves_the_connection_usable(client: Client, sql: str, code: int) -> None:
    client.execute("SELECT 1")
    client.disconnect = lambda: None  # The driver would reconnect after any exception; here it must not.
    rows = [(1,)] if sql.startswith("INSERT") else None
    with pytest.raises(ServerException) as refused:
        client.execute(sql, rows)
    assert refused.value.code == code
    client.connection.is_query_executing = False
    assert client.execute("SELECT 7") == [(7,)]
    del client.disconnect


def test_a_constraint_and_a_view_refuse_an_insert_aloud_and_whole(client: Client) -> None:
    client.execute(
        "CREATE OR REPLACE TABLE checked (n Int64, CONSTRAINT small CHECK n < 10) ENGINE = MergeTree ORDER BY n"
    )
    with pytest.raises(ServerException) as refused:
        client.execute("INSERT INTO checked VALUES", [(1,), (11,)])
    assert refused.value.code == 469
    client.execute("CREATE OR REPLACE TABLE seen (n Int64) ENGINE = MergeTree ORDER BY n")
    client.execute(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS picky TO seen AS SELECT n + throwIf(n = 3) AS n FROM checked"
    )
    with pytest.raises(ServerException) as refused:
        client.execute("INSERT INTO checked VALUES", [(2,), (3,)])
    assert refused.value.code == 395
    client.execute("DROP TABLE picky")
    assert client.execute("SELECT count() FROM seen") == [(0,)]


def test_settings_of_a_query_end_with_it(client: Client) -> None:
    assert client.execute("SELECT getSetting('max_block_size')", settings={"max_block_size": 777}) == [(777,)]
    assert client.execute("SELECT getSetting('max_block_size')") != [(777,)]


def test_unknown_settings(server: StoreSettings) -> None:
    with client_for(server, settings={"no_such_setting": 1}) as client:
        assert client.execute("SELECT 1") == [(1,)]
    with client_for(server, settings={"no_such_setting": 1}, settings_is_important=True) as client:
        with pytest.raises(ServerException) as refused:
            client.execute("SELECT 1")
        assert refused.value.code == 115


def test_use_and_temporary_tables_belong_to_their_connection(server: StoreSettings) -> None:
    with client_for(server) as one, client_for(server) as other:
        one.execute("CREATE TEMPORARY TABLE mine (n Int8)")
        one.execute("INSERT INTO mine VALUES", [(1,)])
        one.execute("USE system")
        assert one.execute("SELECT currentDatabase(), n FROM mine") == [("system", 1)]
        assert other.execute("SELECT currentDatabase()") == [(server.database,)]
        with pytest.raises(ServerException):
            other.execute("SELECT * FROM mine")


def test_clients_side_by_side(server: StoreSettings) -> None:
    with client_for(server) as client:
        client.execute("CREATE OR REPLACE TABLE side (who Int32, n Int64) ENGINE = MergeTree ORDER BY (who, n)")
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            with client_for(server, compression="lz4" if who % 2 else False) as client:
                for part in range(5):
                    client.execute("INSERT INTO side VALUES", [(who, part * 1000 + n) for n in range(1000)])
                    count = client.execute("SELECT count(), sum(n) FROM side WHERE who = %(who)s", {"who": who})
                    total = 1000 * (part + 1)
                    assert count == [(total, total * (total - 1) // 2)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with client_for(server) as client:
        assert client.execute("SELECT count() FROM side") == [(40_000,)]


def test_cancel_ends_the_result_and_not_the_connection(client: Client) -> None:
    progress = client.execute_with_progress(
        "SELECT sum(sleepEachRow(0.05)) FROM numbers(2000) SETTINGS max_block_size = 1, max_threads = 1,"
        " function_sleep_max_microseconds_per_block = 0"
    )
    started = dt.datetime.now(UTC)
    client.cancel()
    del progress
    assert (dt.datetime.now(UTC) - started).total_seconds() < 20  # All of it would take 100 s.
    client.connection.is_query_executing = False
    assert client.execute("SELECT 1") == [(1,)]


def test_a_retried_insert_is_taken_once_through_the_views(client: Client) -> None:
    window = "SETTINGS non_replicated_deduplication_window = 1000"
    client.execute(f"CREATE OR REPLACE TABLE raw (k Int8, n Int64) ENGINE = MergeTree ORDER BY n {window}")
    client.execute(
        "CREATE OR REPLACE TABLE rolled (k Int8, n AggregateFunction(count)) ENGINE = AggregatingMergeTree"
        f" ORDER BY k {window}"
    )
    client.execute(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS roll TO rolled AS SELECT k, countState() AS n FROM raw GROUP BY k"
    )
    settings = {
        "async_insert": 0,
        "insert_deduplication_token": "t/0/1-10",
        "deduplicate_blocks_in_dependent_materialized_views": 1,
    }
    for _ in range(3):
        client.execute("INSERT INTO raw VALUES", [(1, n) for n in range(10)], settings=settings)
    assert client.execute("SELECT count() FROM raw") == [(10,)]
    assert client.execute("SELECT countMerge(n) FROM rolled") == [(10,)]


def test_a_retry_completes_an_insert_that_a_view_refused(client: Client) -> None:
    window = "SETTINGS non_replicated_deduplication_window = 1000"
    for table in ("first", "second"):
        client.execute(f"CREATE OR REPLACE TABLE {table} (n Int64) ENGINE = MergeTree ORDER BY n {window}")
    client.execute("CREATE OR REPLACE TABLE closed (n Int64) ENGINE = Memory")
    client.execute("INSERT INTO closed VALUES", [(1,)])
    client.execute(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS on_its_way TO second AS"
        " SELECT n + throwIf(n IN (SELECT n FROM closed), 'closed') AS n FROM first"
    )
    settings = {
        "async_insert": 0,
        "insert_deduplication_token": "t/0/1-10",
        "deduplicate_blocks_in_dependent_materialized_views": 1,
    }
    rows = [(n,) for n in range(10)]
    with pytest.raises(ServerException, match="closed"):
        client.execute("INSERT INTO first VALUES", rows, settings=settings)
    client.execute("TRUNCATE TABLE closed")
    for _ in range(2):
        client.execute("INSERT INTO first VALUES", rows, settings=settings)
    assert client.execute("SELECT (SELECT count() FROM first), (SELECT count() FROM second)") == [(10, 10)]


def client_for(server: StoreSettings, **options: object) -> Client:
    return Client(
        server.host,
        port=server.port,
        user=server.user,
        password=server.resolved_password(),
        database=server.database,
        **options,
    )
