"""A block: consecutive records of one partition, as parallel columns."""

from collections.abc import Sequence
from typing import Any

import msgspec

#: Key of an empty record that only ends a transaction (`streams.runtime.dangling`); no block holds it.
SWEPT = b"driftline-swept"
#: Stands for the headers of a record that has one whose name is no UTF-8: the client library then gives none of them.
UNREADABLE: list[tuple[str, bytes]] = [("driftline-headers", b"unreadable")]


class Block(msgspec.Struct, frozen=True):
    """Consecutive records of one partition in offset order. Offsets may have gaps (commit markers, aborted records).

    ``topic`` is the logical name (no prefix); ``times`` are Kafka's timestamps in ms; ``headers`` entries are
    None where a record has none, and `UNREADABLE` where nobody can read them. A header's value that is null in Kafka
    is empty here: `of_messages` sees to that, so nobody else has to.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    times: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[list[tuple[str, bytes]] | None]

    @classmethod
    def of(cls, topic: str, partition: int, values: Sequence[bytes | None], first: int = 0, time: int = 0) -> "Block":
        """Make a block of values alone, for tests and replays.

        Parameters
        ----------
        first
            Offset of the first value; the others follow without gaps.
        time
            Kafka's timestamp of all of them, ms.

        >>> Block.of("requests", 3, [b"{}"], first=1041).place(0)
        'requests/3/1041'
        """
        n = len(values)
        return cls(topic, partition, range(first, first + n), [time] * n, [None] * n, values, [None] * n)

    @classmethod
    def of_messages(cls, topic: str, partition: int, messages: Sequence[Any]) -> "Block":
        """Make a block of what a consumer gave for one partition; ``topic`` is the logical name. What only ends a
        transaction is left out, so a block may be empty.

        Parameters
        ----------
        topic
            Logical name of the topic.
        messages
            Messages of confluent-kafka without errors, in order of their offsets.
        """
        keys = [m.key() for m in messages]
        if SWEPT in keys:
            messages = [m for m in messages if m.key() != SWEPT or m.value()]
            keys = [m.key() for m in messages]
        return cls(
            topic,
            partition,
            [m.offset() for m in messages],
            [m.timestamp()[1] for m in messages],
            keys,
            [m.value() for m in messages],
            _headers(messages),
        )

    @classmethod
    def joined(cls, blocks: Sequence["Block"]) -> "Block":
        """Make one block of several of one partition, at least one, that follow each other.

        >>> Block.joined([Block.of("requests", 3, [b"a"]), Block.of("requests", 3, [b"b"], first=7)]).offsets
        [0, 7]
        """
        if len(blocks) == 1:
            return blocks[0]
        columns = ([x for block in blocks for x in getattr(block, name)] for name in cls.__struct_fields__[2:])
        return cls(blocks[0].topic, blocks[0].partition, *columns)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def first(self) -> int:
        """Offset of the first record."""
        return self.offsets[0]

    @property
    def last(self) -> int:
        """Offset of the last record."""
        return self.offsets[-1]

    def place(self, row: int) -> str:
        """Name a record as people say it: topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offsets[row]}"

    def __getitem__(self, rows: slice) -> "Block":
        return Block(
            self.topic,
            self.partition,
            self.offsets[rows],
            self.times[rows],
            self.keys[rows],
            self.values[rows],
            self.headers[rows],
        )


def _headers(messages: Sequence[Any]) -> list[list[tuple[str, bytes]] | None]:
    try:
        headers = [m.headers() for m in messages]
    except UnicodeDecodeError:
        headers = [_headers_of(m) for m in messages]
    return [of_record and _without_nulls(of_record) for of_record in headers]


def _without_nulls(headers: list[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    if any(value is None for _, value in headers):
        return [(name, value or b"") for name, value in headers]
    return headers  # type: ignore[return-value]  # and the very object: `UNREADABLE` is known by its identity


def _headers_of(message: Any) -> list[tuple[str, bytes]] | None:
    try:
        headers: list[tuple[str, bytes]] | None = message.headers()
    except UnicodeDecodeError:
        return UNREADABLE
    return headers
