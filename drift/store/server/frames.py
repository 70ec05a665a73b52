"""Compressed frames: a checksum, a method, two sizes, a payload.

Only the bodies of Data packets travel in frames. The checksum is CityHash128 over everything after it, high
word first; sizes are little-endian, the compressed one counts its own nine-byte head.
"""

import struct

import lz4.block
import zstd
from clickhouse_cityhash.cityhash import CityHash128

from drift.store.server.wire import ProtocolError, Reader

LZ4, ZSTD, NONE = 0x82, 0x90, 0x02
#: Of a client's frame, packed and unpacked; drivers make them of 1 to 10 MiB, whatever the block.
FRAME_BYTES_MAX = 64 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HEAD = struct.Struct("<BII")
_CHECKSUM = struct.Struct("<QQ")


def read_frame(reader: Reader) -> bytes:
    """Read one frame and return its payload.

    Raises
    ------
    ProtocolError
        The checksum does not hold, the method is unknown, or a size goes past `FRAME_BYTES_MAX`.
    """
    high, low = _CHECKSUM.unpack(reader.read(16))
    head = reader.read(_HEAD.size)
    method, packed, unpacked = _HEAD.unpack(head)
    if not _HEAD.size <= packed <= FRAME_BYTES_MAX or unpacked > FRAME_BYTES_MAX:
        raise ProtocolError(
            f"a frame of {packed} bytes for {unpacked} came, at most {FRAME_BYTES_MAX}; insert less at once"
        )
    body = reader.read(packed - _HEAD.size)
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
        elif method == ZSTD:
            # The library takes as much memory as this number says, before it looks at anything else.
            if (stated := _zstd_size(body)) != size:
                raise ProtocolError(f"it says {stated} bytes, and the frame around it {size}")
            payload = bytes(zstd.decompress(body))
        else:
            payload = body
    except Exception as error:  # Each library raises its own class; all of them mean the same here.
        raise ProtocolError(f"a compressed frame does not unpack: {error}") from error
    if len(payload) != size:
        raise ProtocolError(f"a compressed frame unpacks to {len(payload)} bytes, its head says {size}")
    return payload


def _zstd_size(body: bytes) -> int | None:
    """Size that a zstd frame's own head states (RFC 8878, 3.1.1.1); None where it states none.

    >>> _zstd_size(zstd.compress(bytes(300))), _zstd_size(b"no zstd")
    (300, None)
    """
    if body[:4] != _ZSTD_MAGIC or len(body) < 6:
        return None
    descriptor = body[4]
    one_segment = descriptor >> 5 & 1
    width = (one_segment, 2, 4, 8)[descriptor >> 6]
    at = 5 + (not one_segment) + (0, 1, 2, 4)[descriptor & 3]
    if not width or len(body) < at + width:
        return None
    return int.from_bytes(body[at : at + width], "little") + (256 if width == 2 else 0)
