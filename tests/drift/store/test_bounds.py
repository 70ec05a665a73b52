"""The embedded store under clients that say too much, too slowly, or nothing: bounded before memory is taken."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import lz4.block
import pytest
import zstd
from clickhouse_cityhash.cityhash import CityHash128
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from hypothesis import given
from hypothesis import strategies as st

from drift.store.passwords import OWNER, password_file
from drift.store.server import Limits, StoreServer
from drift.store.server.columns import DEPTH_MAX, column
from drift.store.server.frames import FRAME_BYTES_MAX, LZ4, NONE, ZSTD, frame, read_frame
from drift.store.server.layouts import Copier, UnsupportedType
from drift.store.server.packets import SETTINGS_MAX, read_query
from drift.store.server.statements import Statement
from drift.store.server.wire import ProtocolError, Reader, bounded, text, varint

pytestmark = pytest.mark.system  # a store of its own, and clients that are waited for until their time is over

WITHIN_S = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bounds")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[StoreServer]:
    limits = Limits(
        connections_max=6,
        strangers_max=3,
        hello_s_max=1.5,
        packet_s_max=1.5,
        statement_s_max=1.0,
        insert_bytes_max=100_000,
    )
    with StoreServer(folder, limits=limits) as server:
        yield server


def connect(server: StoreServer, folder: Path) -> Client:
    host, port = server.address
    return Client(host, port, password=password_file(folder, OWNER).read_text().strip())


def hello(folder: Path) -> bytes:
    head = varint(0) + text("test") + varint(1) * 2 + varint(54468) + text("") + text(OWNER)
    return head + text(password_file(folder, OWNER).read_text().strip())


def wrapped(method: int, body: bytes, unpacked: int) -> bytes:
    block = struct.pack("<BII", method, 9 + len(body), unpacked) + body
    checksum = CityHash128(block)
    return struct.pack("<QQ", checksum >> 64, checksum & (2**64 - 1)) + block


# --- frames and types ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [LZ4, ZSTD, NONE])
@given(payload=st.binary(max_size=5_000), times=st.integers(1, 50))
def test_a_frame_comes_back(method: int, payload: bytes, times: int) -> None:
    assert read_frame(Reader.over(frame(payload * times, method))) == payload * times


@pytest.mark.parametrize("said", [0, 1 << 20, FRAME_BYTES_MAX])
def test_a_zstd_frame_that_says_another_size_is_not_unpacked(monkeypatch: pytest.MonkeyPatch, said: int) -> None:
    bomb = zstd.compress(bytes(80 << 20))  # 80 MiB in some kilobytes
    assert len(bomb) < 10_000
    monkeypatch.setattr(zstd, "decompress", lambda body: pytest.fail("it was unpacked"))
    with pytest.raises(ProtocolError, match="does not unpack"):
        read_frame(Reader.over(wrapped(ZSTD, bomb, said)))


@pytest.mark.parametrize(
    "body", [b"", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\xe0\x01", b"\x50\x2a\x4d\x18" + bytes(20)]
)
def test_what_is_no_whole_zstd_frame_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="does not unpack"):
        read_frame(Reader.over(wrapped(ZSTD, body, 100)))


def test_a_frame_past_the_bound_is_refused_by_its_head() -> None:
    for packed, unpacked in ((FRAME_BYTES_MAX + 1, 9), (9, FRAME_BYTES_MAX + 1), (8, 0)):
        head = bytes(16) + struct.pack("<BII", LZ4, packed, unpacked)
        with pytest.raises(ProtocolError, match="a frame of"):
            read_frame(Reader.over(head))


def test_lz4_that_unpacks_to_more_than_it_says_is_refused() -> None:
    body = lz4.block.compress(bytes(1 << 20), store_size=False)
    with pytest.raises(ProtocolError, match="does not unpack"):
        read_frame(Reader.over(wrapped(LZ4, body, 1000)))


@pytest.mark.parametrize(
    "type_name",
    [
        "FixedString(-1)",
        "FixedString(0)",
        "FixedString(16777216)",
        "FixedString(" + "9" * 5000 + ")",
        "FixedString(\u0664)",
        "FixedString",
        "FixedString(1, 2)",
        "Decimal(77, 2)",
        "Decimal(0)",
        "Decimal(x)",
        "Array",
        "Array()",
        "Nullable()",
        "Map(String)",
        "Tuple()",
        "Tuple",
        "SimpleAggregateFunction",
        "LowCardinality()",
        "Array(" * (DEPTH_MAX + 1) + "Int8" + ")" * (DEPTH_MAX + 1),
        "Array(" * 20_000,
        "Enum8('" + "\\'" * 40_000,
        "",
        "Nope",
    ],
    ids=range(23),
)
def test_a_type_that_is_none_is_refused_at_once(type_name: str) -> None:
    began = time.monotonic()
    with pytest.raises(UnsupportedType):
        column(type_name)
    assert time.monotonic() - began < 2


@given(st.text(alphabet="ArayTupleMFixdStng(), '`\\0123456789-", max_size=200))
def test_no_type_name_ends_in_another_error(type_name: str) -> None:
    try:
        layout = column(type_name)
    except UnsupportedType:
        return
    with pytest.raises(Exception, match="") as ended:
        layout.values(Copier(Reader(lambda: b""), bounded(len, 1000)), 3)
    assert type(ended.value).__name__ in ("Disconnected", "ProtocolError", "UnsupportedType")


def test_a_run_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(ProtocolError, match="-3 bytes"):
        Reader.over(b"abc").copy(-3, len)


def test_settings_and_texts_have_bounds() -> None:
    head = text("") + b"\0"
    many = b"".join(text(f"s{n}") + varint(0) + text("1") for n in range(SETTINGS_MAX + 1)) + text("")
    large = b"".join(text(f"s{n}") + varint(0) + text("x" * 70_000) for n in range(20)) + text("")
    for settings, said in ((many, "more than 1000 settings"), (large, "at most"), (varint(1 << 40), "at most 4096")):
        with pytest.raises(ProtocolError, match=said):
            read_query(Reader.over(head + settings), 54468)
    with pytest.raises(ProtocolError, match="a text of 16777217 bytes"):
        read_query(Reader.over(head + text("") + text("") + varint(2) + varint(0) + varint((16 << 20) + 1)), 54468)


@pytest.mark.parametrize(
    "piece", ["/*", "'\\'", "INSERT INTO t SETTINGS ", "INSERT INTO t (", " ", "`\\`", "(", "FORMAT "]
)
def test_a_statement_takes_no_more_than_linear_time(piece: str) -> None:
    began = time.monotonic()
    statement = Statement("INSERT INTO t " + piece * (2_000_000 // len(piece)))
    assert statement.rows_at is None or statement.rows_at > 0
    assert time.monotonic() - began < 10


# --- clients that are idle, slow, or never end ------------------------------------------------------


def gone(connection: socket.socket) -> bool:
    connection.settimeout(WITHIN_S)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return True


def test_idle_clients_lock_nobody_out(server: StoreServer, folder: Path) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(server, folder)) for _ in range(8)]  # more than there are places
        for client in idle:
            assert client.execute("SELECT 1") == [(1,)]
        with connect(server, folder) as newcomer:
            assert newcomer.execute("SELECT 2") == [(2,)]
        for client in idle:  # Those whose places were taken connect again.
            assert client.execute("SELECT 3") == [(3,)]


def test_strangers_that_say_nothing_lock_nobody_out(server: StoreServer, folder: Path) -> None:
    with connect(server, folder) as known:
        assert known.execute("SELECT 1") == [(1,)]
        connected = known.connection.socket
        silent = [socket.create_connection(server.address) for _ in range(40)]
        with connect(server, folder) as newcomer:
            assert newcomer.execute("SELECT 2") == [(2,)]
        assert known.execute("SELECT 1") == [(1,)]
        assert known.connection.socket is connected  # A stranger takes no known client's place.
        for connection in silent:
            with closing(connection):
                assert gone(connection)


def test_a_client_that_trickles_is_ended(server: StoreServer, folder: Path) -> None:
    began = time.monotonic()
    with closing(socket.create_connection(server.address)) as slow:
        slow.settimeout(0.05)
        said = hello(folder)[:-1]
        for at in range(len(said)):
            try:
                slow.sendall(said[at : at + 1])
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            assert gone(slow)
    assert time.monotonic() - began < 10


def test_a_packet_that_trickles_is_ended(server: StoreServer, folder: Path) -> None:
    with closing(socket.create_connection(server.address)) as slow:
        slow.sendall(hello(folder) + text("") + varint(1) + varint(100))
        began = time.monotonic()
        slow.settimeout(0.2)
        while time.monotonic() - began < WITHIN_S:
            try:
                slow.sendall(b"x")
                if slow.recv(65536) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 10


def test_an_endless_statement_is_stopped(server: StoreServer, folder: Path) -> None:
    with connect(server, folder) as client:
        began = time.monotonic()
        with pytest.raises(ServerException, match=r"took longer than 1 s") as stopped:
            client.execute("SELECT sum(number) FROM system.numbers")
        assert stopped.value.code == 159
        assert time.monotonic() - began < 20
        assert client.execute("SELECT 1") == [(1,)]


def test_one_block_cannot_fill_the_disk(server: StoreServer, folder: Path) -> None:
    with connect(server, folder) as client:
        client.execute("CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY s")
        with pytest.raises((ServerException, OSError, EOFError)):
            client.execute("INSERT INTO t VALUES", [("x" * 1000,)] * 1000)
        assert client.execute("SELECT count() FROM t") == [(0,)]
        assert not any((folder / "spool").iterdir())
