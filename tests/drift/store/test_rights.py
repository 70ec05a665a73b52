"""No client of the embedded store reaches a file, a network or a process; the reader changes nothing."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from drift.store import Store, StoreError, StoreSettings
from drift.store.passwords import OWNER, READER
from drift.store.server import StoreProcess
from drift.store.server.gate import FUNCTIONS, TABLE_FUNCTIONS, Gate, Refused

pytestmark = pytest.mark.system  # minutes: `make test-all`

SECRET = "not for clients 7c1f"


#: Functions whose descriptions speak of files or services, and that read none.
HARMLESS = {
    "currentRequestURL", "displayName", "extractKeyValuePairs", "javaHash", "javaHashUTF16LE", "lead", "leadInFrame",
    "reverseBySeparator", "transactionID",
}  # fmt: skip


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the store's user, outside its folder."""
    file = tmp_path_factory.mktemp("outside") / "secret.csv"
    file.write_text(SECRET + "\n")
    return file


@pytest.fixture(scope="module")
def visits() -> Iterator[tuple[str, list[int]]]:
    """An address of this machine, and a list of the connections that came to it."""
    came: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            came.append(1)
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}", came
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path_factory.mktemp("rights")) as process:
        with client(process, OWNER) as owner:
            owner.execute("CREATE DATABASE d")
            owner.execute("CREATE TABLE d.t (a String, n Int64) ENGINE = MergeTree ORDER BY n")
            owner.execute("INSERT INTO d.t VALUES", [("row", 1)])
        yield process


def client(process: StoreProcess, user: str, **options: object) -> Client:
    settings = process.settings("", user)
    return Client(settings.host, port=settings.port, user=user, password=settings.resolved_password(), **options)


DOORS = [
    "SELECT * FROM file('{file}', 'LineAsString')",
    "SELECT * FROM file('{file}', 'LineAsString') FORMAT Null",
    "SELECT file('{file}')",
    "SELECT `file`('{file}')",
    "SELECT \"file\"('{file}')",
    "SELECT /* * /*/ file /* ( */ ('{file}')",
    "SELECT\u00a0file('{file}')",
    "SELECT arrayMap(file, ['{file}'])",
    "SELECT arrayMap(`file`, ['{file}'])",
    "SELECT arrayMap(x -> file(x), ['{file}'])",
    "SELECT * APPLY(file) FROM (SELECT '{file}')",
    "SELECT * APPLY file FROM (SELECT '{file}')",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{file}')",
    "SELECT (SELECT file('{file}'))",
    "WITH x AS (SELECT file('{file}') AS a) SELECT a FROM x",
    "WITH file('{file}') AS a SELECT a",
    "SELECT a FROM d.t WHERE a = file('{file}') OR throwIf(1, file('{file}'))",
    "SELECT * FROM view(SELECT file('{file}'))",
    "SELECT * FROM viewIfPermitted(SELECT file('{file}') ELSE null('a String'))",
    "SELECT 1 WHERE 'a' IN file('{file}', 'LineAsString')",
    "SELECT * FROM format(Values, 'a String', $$(file('{file}'))$$)",
    "SELECT * FROM format(CSV, 'b Int8, a String DEFAULT file(\\'{file}\\')', $$1,$$)",
    "SELECT * FROM format(Template, 'a String', 'x') SETTINGS format_template_row = '{file}'",
    "SELECT * FROM values('a String DEFAULT file(\\'{file}\\')', ('x'))",
    "SELECT * FROM generateRandom('a String DEFAULT file(\\'{file}\\')') LIMIT 1",
    "SELECT * FROM null('a String DEFAULT file(\\'{file}\\')')",
    "SELECT * FROM default.`{file}`",
    "SELECT * FROM `{file}`",
    "SELECT * FROM sqlite('{file}', 't')",
    "SELECT * FROM filesystem('/')",
    "SELECT * FROM icebergLocal('{file}')",
    "SELECT * FROM executable('cat {file}', 'CSV', 'a String')",
    "SELECT * FROM Python(os)",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM eval('SELECT 1') SETTINGS allow_experimental_eval_table_function = 1",
    "DESCRIBE file('{file}')",
    "DESCRIBE TABLE file('{file}', 'CSV')",
    "EXPLAIN SELECT file('{file}')",
    "EXPLAIN AST SELECT 1 INTO OUTFILE '{out}'",
    "SELECT 1 INTO OUTFILE '{out}'",
    "SELECT 1 INTO /**/ OUTFILE '{out}' TRUNCATE FORMAT CSV",
    "select 1 into\toutfile '{out}' format CSV",
    "SHOW TABLES INTO OUTFILE '{out}'",
    "SELECT 1; SELECT file('{file}')",
    "SELECT 1; SET ROLE ALL",
    "INSERT INTO d.t (a) FROM INFILE '{file}' FORMAT LineAsString",
    "INSERT INTO d.t (a) FROM/**/INFILE '{file}' COMPRESSION 'none' FORMAT LineAsString",
    "INSERT INTO d.t (a) SETTINGS async_insert = 0 FROM INFILE '{file}' FORMAT CSV",
    "INSERT INTO d.t (a) VALUES (file('{file}'))",
    "INSERT INTO d.t (a) SETTINGS input_format_values_interpret_expressions = 1 VALUES (file('{file}'))",
    "INSERT INTO d.t (a) SELECT file('{file}')",
    "INSERT INTO d.t (a) SELECT a FROM input('a String DEFAULT file(\\'{file}\\')') FORMAT CSV x",
    "INSERT INTO FUNCTION file('{out}', 'CSV', 'a String') VALUES ('x')",
    "INSERT INTO TABLE FUNCTION file('{out}', 'CSV', 'a String') SELECT 'x'",
    "INSERT INTO TABLE FUNCTION url('http://{address}/', 'CSV', 'a String') SELECT 'x'",
    "CREATE TABLE d.x (a String) ENGINE = File(CSV, '{out}')",
    "CREATE TABLE d.x (a String) ENGINE = File(CSV)",
    "CREATE TABLE d.x (a String) ENGINE = URL('http://{address}/', CSV)",
    "CREATE TABLE d.x (a String) ENGINE = Executable('x.sh', CSV)",
    "CREATE TABLE d.x (a String) ENGINE = SQLite('{file}', 't')",
    "CREATE TABLE d.x (a String) ENGINE = MySQL('{address}', 'a', 'b', 'c', 'd')",
    "CREATE TABLE d.x (a String) ENGINE = S3('http://{address}/x', CSV)",
    "CREATE TABLE d.x (a String) ENGINE = Distributed('c', 'd', 't')",
    "CREATE TABLE d.x (a String) ENGINE = Dictionary('d')",
    "CREATE TABLE d.x (a String) ENGINE = QueryRunner",
    "CREATE TABLE d.x (a String) ENGINE Executable('x.sh', CSV)",
    "SELECT 1 WHERE (SELECT 'x' AS ENGINE) = file('{file}')",
    "WITH 'x' AS ENGINE SELECT ENGINE = file('{file}')",
    "CREATE TABLE d.x (a String) ENGINE = EmbeddedRocksDB(0, '{out}') PRIMARY KEY a",
    "CREATE TABLE d.x (a String) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '{out}/')",
    "CREATE TABLE d.x (a String) ENGINE = MergeTree ORDER BY a"
    " SETTINGS disk = disk(type = web, endpoint = 'http://{address}/')",
    "ALTER TABLE d.t MODIFY SETTING disk = disk(type = local, path = '{out}/')",
    "CREATE TABLE d.x (a String, b String DEFAULT file('{file}')) ENGINE = Memory",
    "CREATE TABLE d.x (a String, b String ALIAS file(a)) ENGINE = Memory",
    "CREATE TABLE d.x (a String, CONSTRAINT c CHECK file('{file}') = a) ENGINE = Memory",
    "CREATE TABLE d.x (a String) ENGINE = MergeTree ORDER BY file(a)",
    "CREATE TABLE d.x ENGINE = Memory AS SELECT file('{file}') AS a",
    "CREATE TABLE d.x AS file('{file}', 'LineAsString')",
    "CREATE TABLE d.x CLONE AS d.t PARALLEL WITH CREATE FUNCTION f AS x -> file(x)",
    "ALTER TABLE d.t ADD COLUMN b String DEFAULT file('{file}')",
    "ALTER TABLE d.t UPDATE a = file('{file}') WHERE 1",
    "ALTER TABLE d.t FETCH PARTITION tuple() FROM '/x'",
    "ALTER TABLE d.t FREEZE",
    "DELETE FROM d.t WHERE a = file('{file}')",
    "CREATE VIEW d.x AS SELECT file('{file}') AS a",
    "CREATE MATERIALIZED VIEW d.x TO d.t AS SELECT file(a) AS a, n FROM d.t",
    "CREATE VIEW d.x AS SELECT arrayMap({{f:Identifier}}, ['{file}'])",
    "CREATE DATABASE x ENGINE = Filesystem('/')",
    "CREATE DATABASE x ENGINE = MySQL('{address}', 'a', 'b', 'c')",
    "CREATE DATABASE x ENGINE = SQLite('{file}')",
    "CREATE DATABASE x /**/ ENGINE\n=\nBackup('d', File('{out}'))",
    "CREATE DICTIONARY d.x (a String) PRIMARY KEY a SOURCE(FILE(path '{file}' format CSV)) LAYOUT(FLAT())",
    "CREATE DICTIONARY d.x (a String) PRIMARY KEY a SOURCE(HTTP(url 'http://{address}/' format CSV)) LAYOUT(FLAT())",
    "CREATE DICTIONARY d.x (a String) PRIMARY KEY a SOURCE(EXECUTABLE(command 'cat' format CSV)) LAYOUT(FLAT())",
    "CREATE FUNCTION f AS x -> file(x)",
    "CREATE NAMED COLLECTION c AS a = 'b'",
    "CREATE USER u",
    "GRANT FILE ON *.* TO default",
    "SET ROLE ALL",
    "SET readonly = 0, dialect = 'prql'",
    "SET compatibility = '20.1'",
    "SET allow_introspection_functions = 1",
    "SET default_table_engine = 'Log', format_avro_schema_registry_url = 'http://{address}/'",
    "INSERT INTO d.t (a) SETTINGS format_avro_schema_registry_url = 'http://{address}/' FORMAT AvroConfluent x",
    "INSERT INTO d.t (a) SETTINGS input_format_record_errors_file_path = '{out}' FORMAT CSV x",
    "ATTACH TABLE d.x FROM '{out}' (a String) ENGINE = MergeTree ORDER BY a",
    "ATTACH TABLE d.x (a String) ENGINE = File(CSV)",
    "BACKUP DATABASE d TO File('{out}')",
    "RESTORE DATABASE d FROM File('{out}')",
    "SYSTEM FLUSH LOGS",
    "SYSTEM RELOAD CONFIG",
    "EXECUTE AS reader SELECT 1",
    "SELECT * FROM url('http://{address}/', 'CSV', 'a String')",
    "SELECT * FROM s3('http://{address}/x', 'CSV', 'a String')",
    "SELECT * FROM remote('{address}', 'system.one')",
    "SELECT * FROM remoteSecure('{address}', view(SELECT 1))",
    "SELECT * FROM mysql('{address}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('{address}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM redis('{address}', 'a', 'a String')",
    "SELECT * FROM mongodb('{address}', 'a', 'b', 'c', 'd', 'a String')",
    "SELECT * FROM hdfs('hdfs://{address}/x', 'CSV', 'a String')",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM azureBlobStorage('http://{address}', 'a', 'b')",
    "SELECT * FROM jdbc('http://{address}', 'a', 'b')",
    "SELECT getServerSetting('path')",
    "SELECT aiGenerate('c', 'x')",
]


@pytest.mark.parametrize("user", [OWNER, READER])
def test_no_door_leads_out(
    process: StoreProcess, secret: Path, visits: tuple[str, list[int]], tmp_path: Path, user: str
) -> None:
    address, came = visits
    out = tmp_path / "written"
    opened: list[str] = []
    with client(process, user) as attacker:
        for door in DOORS:
            sql = door.format(file=secret, out=out, address=address)
            try:
                rows = attacker.execute(sql)
            except ServerException as error:
                assert SECRET not in str(error), sql
                assert error.code != 1002, sql  # No error of ours.
            else:
                opened.append(f"{sql} gave {rows}")
        assert attacker.execute("SELECT a, n FROM d.t") == [("row", 1)]
    assert not opened
    assert not came
    assert not out.exists()


@pytest.mark.parametrize("user", [OWNER, READER])
def test_a_name_given_as_a_parameter_is_looked_at_too(process: StoreProcess, secret: Path, user: str) -> None:
    with client(process, user, settings={"server_side_params": True}) as attacker:
        for name in ("file", "getServerSetting", "system"):
            with pytest.raises(ServerException) as refused:
                attacker.execute("SELECT arrayMap({f:Identifier}, [{p:String}])", {"f": name, "p": str(secret)})
            assert refused.value.code == 497
        assert attacker.execute("SELECT {c:Identifier} FROM d.{t:Identifier}", {"c": "n", "t": "t"}) == [(1,)]


WRITES = [
    "INSERT INTO d.t VALUES ('x', 2)",
    "INSERT INTO d.t SELECT 'x', 2",
    "CREATE TABLE d.x (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "CREATE DATABASE x",
    "CREATE VIEW d.x AS SELECT 1",
    "DROP TABLE d.t",
    "DROP DATABASE d",
    "TRUNCATE TABLE d.t",
    "RENAME TABLE d.t TO d.u",
    "ALTER TABLE d.t DELETE WHERE 1",
    "DELETE FROM d.t WHERE 1",
    "OPTIMIZE TABLE d.t",
    "KILL QUERY WHERE 1",
    "SET readonly = 0",
    "SET max_memory_usage = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "SELECT * FROM system.processes",
    "SELECT * FROM `system`.`processes`",
    "SELECT query FROM system.query_log",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.disks",
    "SELECT * FROM merge('system', 'proc.*')",
    "SELECT * FROM merge(REGEXP('sys.*'), 'proc.*')",
    "SELECT * FROM merge(concat('sys', 'tem'), 'proc.*')",
    "USE system",
    "SHOW PROCESSLIST",
]


def test_the_reader_changes_nothing_and_sees_no_other_clients(process: StoreProcess) -> None:
    done: list[str] = []
    with client(process, READER) as reader:
        for sql in WRITES:
            try:
                reader.execute(sql)
            except ServerException as error:
                assert error.code in (164, 497), (sql, error)
            else:
                done.append(sql)
        with pytest.raises(ServerException):
            reader.execute("INSERT INTO d.t VALUES", [("x", 2)])
        assert reader.execute("SELECT count() FROM d.t") == [(1,)]
    assert not done
    with pytest.raises(ServerException), client(process, READER, database="system") as reader:
        reader.execute("SELECT * FROM processes")


def test_the_reader_sets_what_bounds_its_own_query_and_no_more(process: StoreProcess) -> None:
    with client(process, READER, database="d") as reader:
        given = reader.execute("SELECT getSetting('max_execution_time')", settings={"max_execution_time": 7})
        assert [int(value) for (value,) in given] == [7]
        given = reader.execute("SELECT getSetting('max_execution_time')", settings={"max_execution_time": 9000})
        assert [int(value) for (value,) in given] == [60]
        assert reader.execute("SELECT count() FROM t") == [(1,)]  # It is still in its database.
        for name, value in (("max_memory_usage", 10**12), ("readonly", 0), ("log_queries", 0)):
            if name != "readonly":
                with pytest.raises(ServerException) as refused:
                    reader.execute("SELECT 1", settings={name: value})
                assert refused.value.code == 164
            assert reader.execute("SELECT getSetting('readonly')", settings={}) == [(1,)]


def test_what_a_client_of_today_asks_goes_on(process: StoreProcess) -> None:
    with client(process, OWNER) as owner:
        owner.execute("INSERT INTO d.t (a, n) VALUES ('x;y', -2), ('it''s', 3) , (NULL, 4)")
        owner.execute("""INSERT INTO d.t FORMAT JSONEachRow {"a": "SELECT 1; DROP TABLE d.t", "n": 5}""")
        rows = [("x;y", -2), ("it's", 3), ("", 4), ("SELECT 1; DROP TABLE d.t", 5)]
        assert owner.execute("SELECT a, n FROM d.t WHERE n != 1 ORDER BY abs(n)") == rows
        owner.execute("DELETE FROM d.t WHERE n != 1")
    for user in (OWNER, READER):
        with client(process, user, database="d") as any_client:
            assert ("t",) in any_client.execute("SHOW TABLES")
            assert ("d",) in any_client.execute("SHOW DATABASES")
            for sql in (
                "SELECT version(), currentDatabase(), timezone()",
                "SELECT name FROM system.tables WHERE database = 'd'",
                "SELECT name, type FROM system.columns WHERE database = 'd' AND table = 't'",
                "SELECT name FROM system.databases",
                "DESCRIBE TABLE t",
                "SHOW CREATE TABLE t",
                "EXISTS TABLE t",
                "EXPLAIN SELECT * FROM t",
                "SELECT * FROM merge(currentDatabase(), '^t$')",
                "(SELECT 1) UNION ALL (SELECT 2)",
                "WITH 1 AS file SELECT file",
                "SELECT 'file(''x'') INTO OUTFILE'",
                "SELECT sum(number) FROM numbers(10)",
            ):
                any_client.execute(sql)


def test_what_ruined_the_folder_leaves_it_well(tmp_path: Path) -> None:
    with StoreProcess(tmp_path) as process, client(process, OWNER) as owner, pytest.raises(ServerException):
        owner.execute("CREATE TABLE k (a Int8) ENGINE = Kafka('localhost:1', 't', 'g', 'CSV')")
    with StoreProcess(tmp_path) as process, client(process, OWNER) as owner:
        assert owner.execute("SHOW TABLES") == []


def test_tables_in_the_default_database_of_before_stay(tmp_path: Path) -> None:
    import subprocess
    import sys

    before = (
        "import sys; from chdb import _chdb; c = _chdb.connect(sys.argv[1])\n"
        "c.query('CREATE TABLE default.kept (n Int8) ENGINE = MergeTree ORDER BY n', 'CSV')\n"
        "c.query('INSERT INTO default.kept SELECT 7', 'CSV'); c.close()"
    )
    subprocess.run([sys.executable, "-c", before, tmp_path / "engine"], check=True, timeout=60)
    for _ in range(2):
        with StoreProcess(tmp_path) as process, client(process, OWNER) as owner:
            assert owner.execute("SELECT n FROM kept") == [(7,)]


def test_the_engine_reads_the_grants_for_a_server_of_your_own(process: StoreProcess) -> None:
    lines = (Path(__file__).parents[3] / "docker" / "clickhouse" / "reader.sql").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    statements = [statement.strip() for statement in text.split(";") if statement.strip()]
    assert len(statements) == 3
    with client(process, READER, settings={"server_side_params": True}) as reader:
        for statement in statements:
            [(spelt,)] = reader.execute("SELECT formatQuerySingleLine({q:String})", {"q": statement})
            assert spelt.startswith(statement.split()[0])


def test_a_store_that_has_no_password_yet_is_away(tmp_path: Path) -> None:
    from drift.store import StoreUnavailable

    with pytest.raises(StoreUnavailable, match="driftline up"):
        Store.connect(StoreSettings.embedded(tmp_path, 1, "driftline"))


def test_another_folders_password_is_wrong(process: StoreProcess, tmp_path: Path) -> None:
    from drift.store.passwords import ensure_passwords

    ensure_passwords(tmp_path)
    with pytest.raises(StoreError) as refused:
        Store.connect(StoreSettings.embedded(tmp_path, process.address[1], ""))
    assert refused.value.code == 516


def test_every_function_that_the_engine_has_was_looked_at(process: StoreProcess) -> None:
    """A later engine with a function whose description speaks of files or services is looked at before it is used."""
    speaks = r"(?i)(\\bLLM\\b|http request|\\bfiles?\\b|server setting|executable|catboost|\\bmacro)"
    with client(process, OWNER) as owner:
        found = owner.execute(
            f"SELECT name FROM system.functions WHERE match(concat(description, syntax), '{speaks}') ORDER BY name"
        )
        tables = {name.lower() for (name,) in owner.execute("SELECT name FROM system.table_functions")}
    gate = Gate(str, (), ())
    open_ones = set()
    for (name,) in found:
        try:
            gate.allowed(f"SELECT {name}(1)", {}, reader=False)
        except Refused:
            continue
        open_ones.add(name)
    assert open_ones == HARMLESS
    assert tables >= TABLE_FUNCTIONS - {"one"}
    assert "file" in FUNCTIONS
