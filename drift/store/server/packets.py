"""What clients say, in the order of the conversation: hello, query.

Fields come and go with the revision, the smaller of the client's and ours; the names of the thresholds are
ClickHouse's own.
"""

import re
from enum import IntEnum

import msgspec

from drift.store.server.wire import NAME_BYTES_MAX, ProtocolError, Reader

REVISION = 54468
REVISION_MIN = 54429  # Settings as text.
_INTERSERVER_SECRET = 54441
_OPENTELEMETRY = 54442
_DISTRIBUTED_DEPTH = 54448
_QUERY_START_TIME = 54449
_PARALLEL_REPLICAS = 54453
_ADDENDUM = 54458
_PARAMETERS = 54459

SETTINGS_MAX = 1_000
SETTINGS_BYTES_MAX = 1 << 20
#: A statement, and rows that stand in its text.
STATEMENT_BYTES_MAX = 16 << 20
PARAMETERS_BYTES_MAX = 16 << 20
_IMPORTANT = 1


class FromClient(IntEnum):
    """Packets that clients send."""

    HELLO = 0
    QUERY = 1
    DATA = 2
    CANCEL = 3
    PING = 4


class Hello(msgspec.Struct, frozen=True):
    """Who a client is; the password is shown to nobody."""

    client: str
    revision: int
    database: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Hello({self.client!r}, revision={self.revision}, database={self.database!r}, user={self.user!r})"


class Setting(msgspec.Struct, frozen=True):
    """A setting of one query; an important one must be known."""

    name: str
    value: str
    important: bool


class Query(msgspec.Struct, frozen=True):
    """One statement with its settings and parameters; whether Data travels in frames."""

    sql: str
    settings: list[Setting]
    parameters: dict[str, str]
    compressed: bool


def read_hello(reader: Reader) -> Hello:
    """Read the first packet of a connection."""
    if (packet := reader.varint()) != FromClient.HELLO:
        raise ProtocolError(
            f"the first packet is {packet}, not Hello (0); speak ClickHouse's native protocol here, not HTTP"
        )
    client = reader.text(NAME_BYTES_MAX)
    reader.varint(), reader.varint()  # The client's own version.
    revision = reader.varint()
    hello = Hello(client, revision, *(reader.text(NAME_BYTES_MAX) for _ in ("database", "user", "password")))
    if hello.revision < REVISION_MIN:
        raise ProtocolError(f"client revision {hello.revision}, at least {REVISION_MIN} is spoken; upgrade the client")
    return hello


def read_addendum(reader: Reader, revision: int) -> None:
    """Read what newer clients say after our Hello: a quota key."""
    if revision >= _ADDENDUM:
        reader.text(NAME_BYTES_MAX)


def read_query(reader: Reader, revision: int) -> Query:
    """Read a Query packet after its number."""
    reader.text(NAME_BYTES_MAX)  # The query's id: the engine names its own.
    _skip_client(reader, revision)
    settings = _read_settings(reader, SETTINGS_BYTES_MAX)
    if revision >= _INTERSERVER_SECRET:
        reader.text(NAME_BYTES_MAX)
    reader.varint()  # The stage up to which to go: clients want all of it.
    compressed = bool(reader.varint())
    sql = reader.text(STATEMENT_BYTES_MAX)
    given = _read_settings(reader, PARAMETERS_BYTES_MAX) if revision >= _PARAMETERS else []
    return Query(sql, settings, {p.name: _unquoted(p.value) for p in given}, compressed)


def _skip_client(reader: Reader, revision: int) -> None:
    if reader.byte() == 0:  # No query kind, no client.
        return
    for _ in ("initial user", "initial query id", "initial address"):
        reader.text(NAME_BYTES_MAX)
    if revision >= _QUERY_START_TIME:
        reader.u64()
    if (interface := reader.byte()) != 1:
        raise ProtocolError(f"a query came over interface {interface}, not TCP (1)")
    for _ in ("system user", "host name", "client name"):
        reader.text(NAME_BYTES_MAX)
    for _ in ("major", "minor", "revision"):
        reader.varint()
    reader.text(NAME_BYTES_MAX)  # Quota key.
    if revision >= _DISTRIBUTED_DEPTH:
        reader.varint()
    reader.varint()  # Version patch.
    if revision >= _OPENTELEMETRY and reader.byte():
        reader.read(16 + 8)
        reader.text(NAME_BYTES_MAX)
        reader.byte()
    if revision >= _PARALLEL_REPLICAS:
        for _ in ("collaborate", "replicas", "number"):
            reader.varint()


def _read_settings(reader: Reader, bytes_max: int) -> list[Setting]:
    settings: list[Setting] = []
    left = bytes_max
    while name := reader.text(NAME_BYTES_MAX):
        if len(settings) == SETTINGS_MAX:
            raise ProtocolError(f"more than {SETTINGS_MAX} settings came with one query; send fewer")
        flags = reader.varint()
        value = reader.text(max(left, 0))
        left -= len(name) + len(value)
        settings.append(Setting(name, value, bool(flags & _IMPORTANT)))
    return settings


_ESCAPES = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0", "a": "\a", "v": "\v"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _unquoted(dump: str) -> str:
    """Take the quotes off a parameter. What is inside stays escaped once: the engine reads it so.

    >>> _unquoted("'it\\\\\\\\'s'"), _unquoted("42")
    ("it\\\\'s", '42')
    """
    if len(dump) < 2 or dump[0] != "'" or dump[-1] != "'":
        return dump
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), dump[1:-1])
