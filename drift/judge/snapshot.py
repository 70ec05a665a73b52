"""The snapshot codec: a tree of Structs with NumPy arrays in it as bytes, and back, bit for bit."""

from typing import Any, TypeVar

import msgspec
import numpy as np

T = TypeVar("T")


def encode(tree: Any) -> bytes:
    """Write a tree of msgspec Structs.

    >>> decode(encode([np.arange(3), None]), list[np.ndarray | None])
    [array([0, 1, 2]), None]
    """
    return _ENCODER.encode(tree)


def decode(content: bytes, kind: type[T]) -> T:
    """Read what `encode` wrote, as its type.

    Raises
    ------
    msgspec.MsgspecError
        The bytes are not a tree of that type.
    """
    return msgspec.msgpack.decode(content, type=kind, dec_hook=_decode_array)


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    raise NotImplementedError(f"cannot encode {type(value).__name__}")


def _decode_array(kind: type, value: Any) -> Any:
    if kind is np.ndarray:
        dtype, shape, content = value
        # A copy, for what is read from bytes cannot be written to.
        return np.frombuffer(content, np.dtype(dtype)).reshape(shape).copy()
    raise NotImplementedError(f"cannot decode {kind}")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_encode_array)
