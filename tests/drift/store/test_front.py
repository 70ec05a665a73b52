"""The embedded store under bad clients and sudden ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import Error, ServerException

from drift.store import StoreSettings
from drift.store.server import Limits, StoreProcess, StoreServer
from drift.store.server.frames import LZ4, frame
from drift.store.server.wire import text, varint

pytestmark = pytest.mark.system  # minutes: `make test-all`

WITHIN_S = 20.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("front")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[tuple[str, int]]:
    with Process(folder) as process:
        yield process.address


#: Of the owner, by address.
PASSWORDS: dict[tuple[str, int], str] = {}


class Process(StoreProcess):
    """A store whose password these clients know."""

    def start(self) -> "Process":
        super().start()
        PASSWORDS[self.address] = self.settings().resolved_password()
        return self


def connect(address: tuple[str, int], **options: object) -> Client:
    return Client(address[0], port=address[1], **({"password": PASSWORDS[address]} | options))


def hello(address: tuple[str, int], revision: int = 54468) -> bytes:
    head = varint(0) + text("test") + varint(1) + varint(1) + varint(revision)
    return head + text("") + text("default") + text(PASSWORDS[address])


def answer(address: tuple[str, int], said: bytes) -> bytes:
    """Say something, and hear all until the server hangs up."""
    with closing(socket.create_connection(address, timeout=WITHIN_S)) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := connection.recv(65536):
            heard += piece
        return heard


# --- bad clients ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "part_of_answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"not HTTP"),
        (b"\xff" * 40, b"more than 64 bits"),
        (varint(0) + varint(1 << 40), b"a text of 1099511627776 bytes"),
        (varint(0) + text("x")[:-1] + b"\xff" + bytes(40), b"not UTF-8"),
        (varint(0) + text("x") + varint(1) * 2 + varint(54000) + text("") * 3, b"upgrade the client"),
        (varint(0) + text("x") + varint(1) * 2 + varint(54468) + varint(4097), b"a text of 4097 bytes"),
        (b"", b""),
    ],
    ids=["http", "long varint", "huge text", "no text", "old client", "long name", "nothing"],
)
def test_what_is_no_client_is_told_so(address: tuple[str, int], said: bytes, part_of_answer: bytes) -> None:
    with connect(address) as other:
        assert other.execute("SELECT 1") == [(1,)]
        assert part_of_answer in answer(address, said)
        assert other.execute("SELECT 2") == [(2,)]


def test_data_without_a_query_is_told_so(address: tuple[str, int]) -> None:
    assert b"reconnect" in answer(address, hello(address) + text("") + varint(2))


def test_noise_harms_nobody(address: tuple[str, int]) -> None:
    with connect(address) as other:
        for seed in range(30):
            noise = bytes((seed * 7919 + n * n * 31) % 256 for n in range(300))
            answer(address, noise)
            answer(address, hello(address) + text("") + noise)
        assert other.execute("SELECT 1") == [(1,)]


def query_packet(sql: str, compressed: bool = False) -> bytes:
    client = b"\x01" + text("") + text("") + text("") + bytes(8) + b"\x01" + text("") * 3 + varint(1) * 3
    client += text("") + varint(0) + varint(0) + b"\x00" + varint(0) * 3
    empty = b"\x01\x00\x02\xff\xff\xff\xff\x00" + varint(0) + varint(0)
    ending = varint(2) + text("") + (frame(empty, LZ4) if compressed else empty)
    return b"".join([
        varint(1), text(""), client, text(""), text(""), varint(2), varint(compressed), text(sql), text(""), ending,
    ])  # fmt: skip


def test_a_damaged_frame_is_refused(address: tuple[str, int]) -> None:
    good = query_packet("SELECT 1", compressed=True)
    assert b"\x05" in answer(address, hello(address) + text("") + good)
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    assert b"checksum does not hold" in answer(address, hello(address) + text("") + damaged)


def test_pings_and_queries_in_one_breath(address: tuple[str, int]) -> None:
    heard = answer(address, hello(address) + text("") + varint(4) + query_packet("SELECT 'it came'") + varint(4))
    assert b"it came" in heard
    assert heard[-1:] == b"\x04"


def test_a_client_that_dies_in_the_middle_of_an_insert_inserts_nothing(address: tuple[str, int], folder: Path) -> None:
    with connect(address) as other:
        other.execute("CREATE OR REPLACE TABLE half (n Int64) ENGINE = MergeTree ORDER BY n")

        def rows() -> Iterator[tuple[int]]:
            yield from ((n,) for n in range(5000))
            dying.connection.socket.shutdown(socket.SHUT_RDWR)
            yield from ((n,) for n in range(5000))

        dying = connect(address)
        with pytest.raises((Error, OSError, EOFError)):
            dying.execute("INSERT INTO half VALUES", rows(), settings={"insert_block_size": 1000})
        until(lambda: not any((folder / "spool").iterdir()))
        assert other.execute("SELECT count() FROM half") == [(0,)]


def test_a_statement_ends_with_the_client_that_wanted_it(address: tuple[str, int]) -> None:
    slow = "SELECT sum(sleepEachRow(0.1)) FROM numbers(3000) SETTINGS max_block_size = 1, max_threads = 1"
    with connect(address) as other:
        leaving = socket.create_connection(address)
        leaving.sendall(hello(address) + text("") + query_packet(slow))
        running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%LIKE%'"
        until(lambda: other.execute(running) == [(1,)])
        leaving.close()
        until(lambda: other.execute(running) == [(0,)])


def test_a_client_that_does_not_read_blocks_nobody(address: tuple[str, int]) -> None:
    with closing(socket.create_connection(address)) as deaf, connect(address) as other:
        deaf.sendall(hello(address) + text("") + query_packet("SELECT number FROM system.numbers LIMIT 100000000"))
        for _ in range(5):
            assert other.execute("SELECT sum(number) FROM numbers(100000)") == [(4_999_950_000,)]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE k (a Int8) ENGINE = Kafka('localhost:1', 't', 'g', 'CSV')",
        "create table k (a Int8) /* ; */ engine Kafka SETTINGS kafka_topic_list = 't'",
        "SYSTEM SHUTDOWN",
        " system  kill",
    ],
)
def test_what_would_ruin_the_engine_never_reaches_it(address: tuple[str, int], sql: str) -> None:
    with connect(address) as client:
        with pytest.raises(ServerException) as refused:
            client.execute(sql)
        assert refused.value.code == 497
        assert client.execute("SELECT 1") == [(1,)]


def test_a_type_that_does_not_travel_says_what_to_do(address: tuple[str, int]) -> None:
    with connect(address) as client:
        with pytest.raises(ServerException, match="cast it to String"):
            client.execute("SELECT sumState(1)")
        assert client.execute("SELECT toString(finalizeAggregation(sumState(1)))") == [("1",)]


def test_external_tables_are_refused_by_name(address: tuple[str, int]) -> None:
    table = {"name": "ext", "structure": [("n", "Int32")], "data": [{"n": 1}]}
    with connect(address) as client:
        with pytest.raises(ServerException, match="use a parameter"):
            client.execute("SELECT * FROM ext", external_tables=[table])
        assert client.execute("SELECT 1") == [(1,)]


# --- passwords and limits ---------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_the_right_one_is_not(tmp_path: Path, address: tuple[str, int]) -> None:
    with connect(address) as friend:
        for user in ("default", "reader", "nobody", ""):
            for wrong in ("", "Sesame", "é", PASSWORDS[address] + "x", PASSWORDS[address][:-1]):
                with pytest.raises(ServerException) as refused:
                    connect(address, user=user, password=wrong).execute("SELECT 1")
                assert refused.value.code == 516
                assert "there is no user with such name" in str(refused.value)
                assert PASSWORDS[address] not in str(refused.value)
        assert friend.execute("SELECT 1") == [(1,)]


def test_passwords_are_their_owners_alone_and_stay(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir(mode=0o755)  # As a store of before made it.
    with Process(folder) as process, connect(process.address) as client:
        client.execute("CREATE TABLE kept (n Int8) ENGINE = MergeTree ORDER BY n")
    for file in folder.glob("*.password"):
        assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    before = {file.name: file.read_text() for file in folder.glob("*.password")}
    assert set(before) == {"default.password", "reader.password"}
    assert len(set(before.values())) == 2
    assert min(map(len, before.values())) > 40
    (folder / "reader.password").unlink()
    with Process(folder) as process, connect(process.address) as client:
        assert client.execute("SELECT count() FROM kept") == [(0,)]
    assert (folder / "default.password").read_text() == before["default.password"]
    assert (folder / "reader.password").read_text() not in (before["reader.password"], "")


def test_an_empty_password_is_no_password(tmp_path: Path) -> None:
    (tmp_path / "default.password").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        StoreServer(tmp_path).start()


def test_limits_refuse_by_name(tmp_path: Path) -> None:
    limits = Limits(connections_max=2, hello_s_max=0.3, insert_bytes_max=10_000)
    with StoreServer(tmp_path, limits=limits) as server:
        PASSWORDS[server.address] = (tmp_path / "default.password").read_text().strip()
        silent = socket.create_connection(server.address, timeout=WITHIN_S)
        assert silent.recv(1) == b""  # hello_s_max
        with connect(server.address) as one, connect(server.address) as other:
            one.execute("CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n")
            with pytest.raises((ServerException, OSError, EOFError)):
                one.execute("INSERT INTO t VALUES", [(n,) for n in range(10_000)])
            assert other.execute("SELECT count() FROM t") == [(0,)]
            assert one.execute("SELECT 1") == [(1,)]  # connected anew


# --- ends -------------------------------------------------------------------------------------------


def test_sigterm_ends_it_cleanly_in_the_middle_of_work(tmp_path: Path) -> None:
    process = Process(tmp_path).start()
    client = connect(process.address)
    client.execute("CREATE TABLE kept (n Int64) ENGINE = MergeTree ORDER BY n")
    client.execute("INSERT INTO kept VALUES", [(1,)])
    busy = socket.create_connection(process.address)
    busy.sendall(hello(process.address) + text("") + query_packet("SELECT sum(sleepEachRow(0.1)) FROM numbers(3000)"))
    began = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - began < 5
    with Process(tmp_path) as again, connect(again.address) as client:
        assert client.execute("SELECT n FROM kept") == [(1,)]


def test_kill_in_the_middle_of_an_insert_leaves_no_row_of_it(tmp_path: Path) -> None:
    process = Process(tmp_path).start()
    port = process.address[1]
    client = connect(process.address)
    client.execute("CREATE TABLE whole (n Int64, s String) ENGINE = MergeTree ORDER BY n")
    client.execute("INSERT INTO whole VALUES", [(n, "kept") for n in range(1000)])

    def rows() -> Iterator[tuple[int, str]]:
        for n in range(200_000):
            if n == 150_000:
                process.kill()
            yield (n, "lost")

    with pytest.raises((Error, OSError, EOFError)):
        client.execute("INSERT INTO whole VALUES", rows(), settings={"insert_block_size": 10_000})
    assert any((tmp_path / "spool").iterdir())
    with Process(tmp_path, port=port):
        assert client.execute("SELECT count(), uniqExact(s) FROM whole") == [(1000, 1)]  # the same client object
        assert not any((tmp_path / "spool").iterdir())


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.5, 0.9])
def test_kill_at_any_moment_leaves_whole_inserts_and_a_retry_completes_them(tmp_path: Path, after_s: float) -> None:
    process = Process(tmp_path).start()
    client = connect(process.address)
    client.execute(
        "CREATE TABLE t (part Int32, n Int64) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 1000"
    )
    killer = subprocess.Popen(["sh", "-c", f"sleep {after_s}; kill -9 {process.pid}"])

    def insert(client: Client, part: int) -> None:
        rows = [(part, n) for n in range(20_000)]
        client.execute("INSERT INTO t VALUES", rows, settings={"insert_deduplication_token": f"t/0/{part}"})

    last = 0
    with pytest.raises((Error, OSError, EOFError)):
        for last in range(1000):
            insert(client, last)
    killer.wait()
    process.kill()
    with Process(tmp_path) as again, connect(again.address) as client:
        whole = client.execute("SELECT part, count() FROM t GROUP BY part ORDER BY part")
        assert whole[:last] == [(part, 20_000) for part in range(last)]
        assert whole[last:] in ([], [(last, 20_000)])
        insert(client, last)
        assert client.execute("SELECT count(), countIf(part = %(p)s) FROM t", {"p": last}) == [
            ((last + 1) * 20_000, 20_000)
        ]


def test_one_directory_has_one_owner(folder: Path, address: tuple[str, int]) -> None:
    on_its_way = folder / "spool" / "owner's"
    on_its_way.touch()
    code = (
        "import sys, drift.store.server.engine as e; e.OPEN_WAIT_S_MAX = 0.5\n"
        "from pathlib import Path\n"
        "try: e.Engine(Path(sys.argv[1]))\n"
        "except e.EngineError as error: print(error); sys.stdout.flush(); import os; os._exit(0)"
    )
    said = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60, check=True)
    assert "is another store using the directory?" in said.stdout
    on_its_way.unlink()  # The one that was refused has left it alone.
    with connect(address) as client:
        assert client.execute("SELECT 1") == [(1,)]


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom drift.store.server import StoreProcess\n"
        "process = StoreProcess(sys.argv[1]).start(); print(process.pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None and parent.stdin is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    until(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_importing_the_front_loads_no_engine() -> None:
    code = "import sys, drift, drift.store, drift.store.server; print('chdb' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "False"


def test_settings_show_no_password() -> None:
    settings = StoreSettings(password="sesame")
    assert "sesame" not in f"{settings!r} {settings} {[settings]}"
