"""Compressed frames: a checksum, a method, two sizes, a payload.

Only the bodies of Data packets travel in frames. The checksum is CityHash128 over everything after it, high
word first; sizes are little-endian, the compressed one counts its own nine-byte head.
"""

import struct

import lz4.block
import zstd
from clickhouse_cityhash.cityhash import CityHash128

from drift.store.front.wire import ProtocolError, Reader

LZ4, ZSTD, NONE = 0x82, 0x90, 0x02
FRAME_BYTES_MAX = 1 << 30
_HEAD = struct.Struct("<BII")
_CHECKSUM = struct.Struct("<QQ")


def read_frame(reader: Reader) -> bytes:
    """Read one frame and return its payload.

    Raises
    ------
    ProtocolError
        The checksum does not hold, the method is unknown, or a size goes past `FRAME_BYTES_MAX`.
    """
    high, low = _CHECKSUM.unpack(reader.take(16))
    head = reader.take(_HEAD.size)
    method, packed, unpacked = _HEAD.unpack(head)
    if not _HEAD.size <= packed <= FRAME_BYTES_MAX or unpacked > FRAME_BYTES_MAX:
        raise ProtocolError(
            f"a frame of {packed} bytes for {unpacked} came, at most {FRAME_BYTES_MAX}; insert less at once"
        )
    body = reader.take(packed - _HEAD.size)
    if CityHash128(head + body) != (high << 64) + low:
        raise ProtocolError("a compressed frame's checksum does not hold; the connection damaged it")
    return _unpack(method, body, unpacked)


def frame(payload: bytes, method: int) -> bytes:
    """Wrap a payload.

    >>> read_frame(Reader.over(frame(b"to and fro " * 9, LZ4)))[:10]
    b'to and fro'
    """
    body = _pack(method, payload)
    block = _HEAD.pack(method, _HEAD.size + len(body), len(payload)) + body
    checksum = CityHash128(block)
    return _CHECKSUM.pack(checksum >> 64, checksum & 0xFFFF_FFFF_FFFF_FFFF) + block


def _pack(method: int, payload: bytes) -> bytes:
    if method == ZSTD:
        return bytes(zstd.compress(payload, 1))
    if method == LZ4:
        return bytes(lz4.block.compress(payload, store_size=False))
    return payload


def _unpack(method: int, body: bytes, size: int) -> bytes:
    if method not in (LZ4, ZSTD, NONE):
        raise ProtocolError(f"compression method {method:#x} came; use lz4 or zstd")
    try:
        if method == LZ4:
            payload = bytes(lz4.block.decompress(body, uncompressed_size=size))
        else:
            payload = bytes(zstd.decompress(body)) if method == ZSTD else body
    except Exception as error:  # Each library raises its own class; all of them mean the same here.
        raise ProtocolError(f"a compressed frame does not unpack: {error}") from error
    if len(payload) != size:
        raise ProtocolError(f"a compressed frame unpacks to {len(payload)} bytes, its head says {size}")
    return payload
