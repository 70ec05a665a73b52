"""What we answer: hello, data, progress, the end, or an exception."""

import struct
from enum import IntEnum

from drift.store.server.packets import REVISION
from drift.store.server.wire import text, u64, varint

PROFILE_EVENTS_IN_INSERT = 54456
_ELAPSED_IN_PROGRESS = 54460
_PASSWORD_RULES = 54461
_NONCE = 54462
_TOTAL_BYTES_IN_PROGRESS = 54463


class FromServer(IntEnum):
    """Packets that we send."""

    HELLO = 0
    DATA = 1
    EXCEPTION = 2
    PROGRESS = 3
    PONG = 4
    END_OF_STREAM = 5
    PROFILE_INFO = 6
    PROFILE_EVENTS = 14


def hello(revision: int, version: tuple[int, int, int], timezone: str) -> bytes:
    """Say who we are.

    Parameters
    ----------
    revision
        Of the protocol, agreed on with the client: what newer ones add is left out.
    version
        Of the engine: major, minor, patch.
    timezone
        Of the server, as ``UTC``: clients show times in it.
    """
    major, minor, patch = version
    out = [varint(FromServer.HELLO), text("Driftline store"), varint(major), varint(minor), varint(REVISION)]
    out += [text(timezone), text("Driftline store"), varint(patch)]
    if revision >= _PASSWORD_RULES:
        out.append(varint(0))
    if revision >= _NONCE:
        out.append(u64(0))
    return b"".join(out)


def data(block: bytes) -> bytes:
    """Send a block, in a frame or not."""
    return varint(FromServer.DATA) + text("") + block


def exception(code: int, message: str) -> bytes:
    """Send an error with its ClickHouse code."""
    named = text("DB::Exception") + text(message) + text("")
    return varint(FromServer.EXCEPTION) + struct.pack("<i", code) + named + b"\0"


def progress(revision: int, *, read: tuple[int, int] = (0, 0), written: tuple[int, int] = (0, 0)) -> bytes:
    """Say how far a query came, as (rows, bytes).

    Parameters
    ----------
    revision
        Revision of the protocol that both sides speak.
    read, written
        Rows and bytes since the last word of it.
    """
    out = [varint(FromServer.PROGRESS), varint(read[0]), varint(read[1]), varint(0)]
    if revision >= _TOTAL_BYTES_IN_PROGRESS:
        out.append(varint(0))
    out += [varint(written[0]), varint(written[1])]
    if revision >= _ELAPSED_IN_PROGRESS:
        out.append(varint(0))
    return b"".join(out)


def profile_info(rows: int, blocks: int, size: int) -> bytes:
    """Say what a SELECT gave.

    Parameters
    ----------
    size
        Bytes of the blocks, uncompressed.
    """
    return varint(FromServer.PROFILE_INFO) + varint(rows) + varint(blocks) + varint(size) + b"\0" + varint(0) + b"\0"


def profile_events(empty_block: bytes) -> bytes:
    """Answer one block of an insert."""
    return varint(FromServer.PROFILE_EVENTS) + text("") + empty_block


PONG = varint(FromServer.PONG)
END_OF_STREAM = varint(FromServer.END_OF_STREAM)
