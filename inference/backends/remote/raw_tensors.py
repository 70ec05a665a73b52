"""Tensors as the bytes that the Open Inference Protocol has for them: little-endian, row by row."""

import math
import struct
from collections.abc import Sequence

import numpy as np

from inference.backends.remote.failures import WrongAnswer
from inference.backends.remote.tensors import DTYPES, Tensor


def to_bytes(tensor: Tensor) -> bytes:
    """A tensor's bytes; a text is its length, four bytes, and itself.

    >>> to_bytes(Tensor("x", "INT16", np.array([[1, 2]], "<i2")))
    b'\\x01\\x00\\x02\\x00'
    >>> to_bytes(Tensor("s", "BYTES", np.array(["ab"], object)))
    b'\\x02\\x00\\x00\\x00ab'
    """
    if tensor.dtype != "BYTES":
        return tensor.values.tobytes()
    texts = [text.encode() for text in tensor.values.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def from_bytes(name: str, dtype: str, shape: Sequence[int], raw: bytes) -> np.ndarray:
    """Read a tensor of numbers.

    Parameters
    ----------
    name
        What a refusal calls it.
    dtype, shape
        What the answer says of it.
    raw
        Its bytes.

    Raises
    ------
    WrongAnswer
        It is of text, of a dtype that is not known, or of another length than its shape.

    >>> from_bytes("p", "FP32", [2, 1], np.array([0.5, 0.25], "<f4").tobytes()).tolist()
    [[0.5], [0.25]]
    """
    kind = DTYPES.get(dtype, "O")
    if kind == "O":
        raise WrongAnswer(f"answers with {name!r} of dtype {dtype[:20]}; a score is a number")
    if len(raw) % np.dtype(kind).itemsize:
        raise WrongAnswer(f"answers with {name!r} of {len(raw)} bytes, which are no {dtype}")
    return shaped(name, np.frombuffer(raw, kind), shape)


def shaped(name: str, values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Values in the shape that the answer says.

    Parameters
    ----------
    name
        What a refusal calls them.
    values
        As many as the shape has, in whatever shape.
    shape
        What the answer says.

    Raises
    ------
    WrongAnswer
        They are more or fewer.
    """
    if any(length < 0 for length in shape) or math.prod(shape) != values.size:
        raise WrongAnswer(f"answers with {name!r} of shape {list(shape)[:8]} and {values.size} values")
    return values.reshape(shape)
