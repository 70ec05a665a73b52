"""A hundred thousand hostile packets against the embedded store, beside a good client that must see exact rows.

    python -m benchmarks.hostile_packets [--packets 100000] [--seed 1] [--clients 8]

Conversations of `clickhouse-driver` are recorded and maimed; others are made by hand: right checksums around wrong
blocks, types that are none, sizes of all kinds, frames that unpack to more than they say, statements that reach for
files. Each is sent by a client that knows the password (but one in ten) and hangs up. Prints what was answered, the
store's memory after a tenth and at the end, and its most; exit code 1 where a row is lost, the store ends, or its
memory grows past `MEMORY_MB_MAX`.
"""

import argparse
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import zstd
from clickhouse_cityhash.cityhash import CityHash128
from clickhouse_driver import Client

from drift.store.server import StoreProcess
from drift.store.server.frames import LZ4, ZSTD, frame
from drift.store.server.wire import text, varint

MEMORY_MB_MAX = 1500.0
ANSWER_S_MAX = 20.0
_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_TYPES = (
    "Int8", "UInt64", "String", "FixedString(3)", "FixedString(-1)", "FixedString(16777215)", "Array(String)",
    "Nothing", "Map(String, Array(UInt8))", "LowCardinality(Nullable(String))", "Tuple(Int8, String)",
    "Nullable(Float64)", "JSON",
    "Array(" * 40 + "Int8" + ")" * 40, "Enum8('a' = 1)", "Decimal(99, 1)", "AggregateFunction(sum, Int8)", "",
    "Nested(a",
)  # fmt: skip
_STATEMENTS = (
    "SELECT 1", "SELECT * FROM good", "INSERT INTO good (n) VALUES", "INSERT INTO good (n) VALUES (-1, 'x')",
    "SELECT '",
    "SELECT file('/etc/hostname')", "SELECT 1 INTO OUTFILE '/tmp/x'", "SELECT * FROM url('http://127.0.0.1:1/')", "/*",
    "INSERT INTO good (n) SETTINGS " + " " * 5000, "SELECT " + "(" * 5000, "SELECT " + "1+" * 5000 + "1", "DROP", ";;",
    "SELECT sleep(0.01)", "SELECT repeat('x', 100000)", "SET readonly = 2", "SYSTEM SHUTDOWN", "USE nowhere", "\0",
)  # fmt: skip


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, StoreProcess(Path(folder) / "store") as store:
        good = Good(store)
        maker = Maker(store, asked.seed)
        attack = Attack(store, maker, asked.packets)
        attackers = [threading.Thread(target=attack.run) for _ in range(asked.clients)]
        good.thread.start()
        began = time.monotonic()
        for thread in attackers:
            thread.start()
        for thread in attackers:
            thread.join()
        wrong = good.finish()
        seconds = time.monotonic() - began
    print(
        f"{attack.sent:,} packets of seed {asked.seed} in {seconds:,.0f} s: {dict(sorted(attack.ends.items()))}; "
        f"good client: {good.inserted:,} inserts, {len(wrong)} wrong; memory {attack.early_mb:,.0f} MB after a tenth, "
        f"{attack.late_mb:,.0f} MB at the end, {attack.most_mb:,.0f} MB at most"
    )
    print(*wrong[:10], sep="\n")
    return int(bool(wrong) or attack.most_mb > MEMORY_MB_MAX)


class Good:
    """A client that inserts rows of known sums and reads them back, all the time."""

    def __init__(self, store: StoreProcess) -> None:
        self._store = store
        self.inserted = 0
        self._wrong: list[str] = []
        self._stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)
        with client(store) as first:
            first.execute("CREATE TABLE good (n Int64, s String) ENGINE = MergeTree ORDER BY n")

    def finish(self) -> list[str]:
        """Stop, and say what was wrong."""
        self._stopping.set()
        self.thread.join()
        return self._wrong

    def _run(self) -> None:
        with client(self._store) as good:
            while not self._stopping.is_set():
                try:
                    first = self.inserted * 10
                    good.execute("INSERT INTO good VALUES", [(n, f"row {n}") for n in range(first, first + 10)])
                    self.inserted += 1
                    rows = self.inserted * 10
                    found = good.execute(
                        "SELECT count(), sum(n), uniqExact(s) FROM good WHERE n >= 0 AND s LIKE 'row %'"
                    )
                    if found != [(rows, rows * (rows - 1) // 2, rows)]:
                        self._wrong.append(f"{found} where {rows} rows were inserted")
                except Exception as error:  # Whatever it is, it is wrong.
                    self._wrong.append(f"the good client met {type(error).__name__}: {str(error)[:200]}")


class Maker:
    """Makes hostile conversations, the same for the same seed and number."""

    def __init__(self, store: StoreProcess, seed: int) -> None:
        self._seed = seed
        password = store.settings().resolved_password()
        head = varint(0) + text("hostile") + varint(1) + varint(1) + varint(54468) + text("")
        self._hello = head + text("default") + text(password) + text("")
        self._stranger = head + text("default") + text("wrong") + text("")
        self._recorded = record(store)

    def conversation(self, number: int) -> bytes:
        """All that one client says."""
        chance = random.Random(self._seed * 1_000_003 + number)
        hello = self._hello if chance.random() < 0.9 else self._stranger
        if chance.random() < 0.5:
            return hello + maimed(chance, chance.choice(self._recorded))
        sql, framed = chance.choice(_STATEMENTS), chance.random() < 0.5
        said = query(sql, framed) + b"".join(data(chance, framed) for _ in range(chance.randrange(4)))
        return hello + (maimed(chance, said) if chance.random() < 0.3 else said)


class Attack:
    """Sends conversations until all are sent, from several threads."""

    def __init__(self, store: StoreProcess, maker: Maker, packets: int) -> None:
        self._address, self._maker, self._packets = store.address, maker, packets
        self._process = psutil.Process(store.pid)
        self._lock = threading.Lock()
        self.sent = 0
        self.ends: Counter[str] = Counter()
        self.early_mb = self.late_mb = self.most_mb = 0.0

    def run(self) -> None:
        """Send until the number is reached."""
        while True:
            with self._lock:
                number = self.sent
                if number >= self._packets:
                    return
                self.sent += 1
                if number % 100 == 0:
                    self._look(number)
            end = visit(self._address, self._maker.conversation(number))
            with self._lock:
                self.ends[end] += 1

    def _look(self, number: int) -> None:
        self.late_mb = self._process.memory_info().rss / 1e6
        self.most_mb = max(self.most_mb, self.late_mb)
        if number <= self._packets // 10:
            self.early_mb = self.late_mb


def visit(address: tuple[str, int], said: bytes) -> str:
    """Say all of it, hear the answer to its end, and name that."""
    try:
        with socket.create_connection(address, timeout=ANSWER_S_MAX) as connection:
            with suppress(OSError):  # It may hang up while we talk: that is its right.
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
            heard = 0
            while piece := connection.recv(65536):
                heard += len(piece)
            return "answered" if heard else "hung up"
    except TimeoutError:
        return "late"
    except ConnectionResetError:
        return "hung up"
    except OSError as error:
        return type(error).__name__


def maimed(chance: random.Random, said: bytes) -> bytes:
    """Change, repeat, leave out or add some bytes."""
    out = bytearray(said)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(5):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[at : at + chance.randrange(1, 20)]
            case 2:
                out[at:at] = out[at : at + chance.randrange(1, 50)]
            case 3:
                out[at:at] = varint(1 << chance.randrange(64))
            case _:
                del out[at:]
    return bytes(out)


def query(sql: str, framed: bool) -> bytes:
    """A Query packet and the empty block that ends its tables."""
    who = b"\x01" + text("") * 3 + bytes(8) + b"\x01" + text("") * 3 + varint(1) * 3
    who += text("") + varint(0) * 2 + b"\x00" + varint(0) * 3
    empty = _INFO + varint(0) + varint(0)
    head = varint(1) + text("") + who + text("") + text("") + varint(2) + varint(framed) + text(sql) + text("")
    return head + varint(2) + text("") + (frame(empty, LZ4) if framed else empty)


def data(chance: random.Random, framed: bool) -> bytes:
    """A Data packet of made-up columns; its checksum is right, its sizes may not be."""
    rows = chance.choice((0, 1, 3, 1000, 1 << 20, 1 << 40, (1 << 63) - 1))
    columns = [(chance.choice(("n", "s", "x" * 5000)), chance.choice(_TYPES)) for _ in range(chance.randrange(4))]
    count = chance.choice((len(columns), len(columns), 19_999, 1 << 33))
    block = _INFO + varint(count) + varint(rows)
    for name, type_name in columns:
        block += text(name) + text(type_name) + b"\0" + chance.randbytes(chance.choice((0, 8, 100, 3000)))
    return varint(2) + text("") + (reframed(chance, block) if framed else block)


def reframed(chance: random.Random, block: bytes) -> bytes:
    """A frame, whole or one that lies about what it holds."""
    if chance.random() < 0.5:
        return frame(block, chance.choice((LZ4, ZSTD)))
    bomb = zstd.compress(block + bytes(chance.choice((0, 1 << 20, 1 << 26))))
    size = chance.choice((len(block), 1 << 26, 1 << 31, 0))
    head = struct.pack("<BII", ZSTD, 9 + len(bomb), size) + bomb
    checksum = CityHash128(head)
    return struct.pack("<QQ", checksum >> 64, checksum & (2**64 - 1)) + head


def record(store: StoreProcess) -> list[bytes]:
    """What `clickhouse-driver` says after its hello, in some conversations."""
    columns = "n Int64, s String, a Array(Nullable(String)), l LowCardinality(String), d DateTime64(3)"
    talks: list[Callable[[Client], object]] = [
        lambda client: client.execute("SELECT {n:Int64}, {s:String}", {"n": 1, "s": "x"}),
        lambda client: client.execute(f"CREATE TEMPORARY TABLE t ({columns}) ENGINE = Memory"),
        lambda client: client.execute("SELECT number, toString(number) FROM numbers(1000)"),
        lambda client: client.execute("INSERT INTO FUNCTION null('n Int64') VALUES", [(1,)]),
        lambda client: client.execute(
            "INSERT INTO recorded VALUES", [(n, "s", ["a", None], "l", n) for n in range(99)]
        ),
    ]
    with client(store) as first:
        first.execute(f"CREATE TABLE recorded ({columns}) ENGINE = Null")
    return [_recorded(store, talk, compression) for talk in talks for compression in (False, "lz4", "zstd")]


def _recorded(store: StoreProcess, talk: Callable[[Client], object], compression: str | bool) -> bytes:
    said = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as between:
        threading.Thread(target=_pass_on, args=(between, store.address, said), daemon=True).start()
        options = {"compression": compression, "settings": {"server_side_params": True}}
        password = store.settings().resolved_password()
        with Client(*between.getsockname(), password=password, **options) as driver:
            driver.execute("SELECT 1")  # The hello is over.
            hello = len(said)
            with suppress(Exception):  # Some of them are refused: what was said counts.
                talk(driver)
            return bytes(said[hello:])


def _pass_on(between: socket.socket, address: tuple[str, int], said: bytearray) -> None:
    driver, _ = between.accept()
    store = socket.create_connection(address)

    def answers() -> None:
        with suppress(OSError):
            while piece := store.recv(65536):
                driver.sendall(piece)

    threading.Thread(target=answers, daemon=True).start()
    with driver, store, suppress(OSError):
        while piece := driver.recv(65536):
            said += piece
            store.sendall(piece)


def client(store: StoreProcess, **options: object) -> Client:
    """A client that knows the password."""
    settings = store.settings()
    return Client(settings.host, settings.port, password=settings.resolved_password(), **options)


if __name__ == "__main__":
    sys.exit(main())
