"""What a recorded demo holds, and how it is read."""

import lzma
from pathlib import Path

import msgspec


class Record(msgspec.Struct, array_like=True, frozen=True):
    """One record of a topic."""

    partition: int
    offset: int
    time: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] | None


class Recording(msgspec.Struct, frozen=True):
    """What a demo left: records by topic, and the file of its model's reference."""

    commit: str
    model: str
    version: str
    reference: bytes
    topics: dict[str, list[Record]]


def read(path: Path) -> Recording:
    """Read a recording."""
    return msgspec.msgpack.decode(lzma.decompress(path.read_bytes()), type=Recording)
