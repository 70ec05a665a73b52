"""JSON as servers write it: numbers of an answer, NaN among them, and requests with missing values."""

import json
from typing import Any

import msgspec
import numpy as np

from inference.backends.remote.failures import WrongAnswer


def decoded(data: bytes) -> Any:
    """Read an answer; ``NaN`` and ``Infinity``, which JSON has not and some servers write, are read as numbers.

    Raises
    ------
    WrongAnswer
        It is no JSON.

    >>> decoded(b'{"p": [0.5, NaN]}')
    {'p': [0.5, nan]}
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WrongAnswer(f"answers with what is no JSON: {error}") from None


def encoded(value: Any, *, nan: bool) -> bytes:
    """Write a request; a missing number is ``NaN`` or ``null``.

    >>> encoded([1.5, float("nan")], nan=True), encoded([1.5, float("nan")], nan=False)
    (b'[1.5, NaN]', b'[1.5,null]')
    """
    return json.dumps(value).encode() if nan else msgspec.json.encode(value)


def numbers(value: Any, name: str) -> np.ndarray:
    """Nested lists of numbers as an array; ``null`` is NaN.

    Parameters
    ----------
    name
        What a refusal calls it.

    Raises
    ------
    WrongAnswer
        They are ragged, or hold what is no number.

    >>> numbers([[1, None], [2, 3]], "p").tolist()
    [[1.0, nan], [2.0, 3.0]]
    """
    try:
        raw = np.asarray(value)
        if raw.dtype.kind == "O" and all(each is None or isinstance(each, (int, float)) for each in raw.ravel()):
            raw = raw.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        raise WrongAnswer(f"answers with {name} whose rows are of different lengths") from None
    if raw.dtype.kind not in "biuf" or not raw.ndim:
        raise WrongAnswer(f"answers with {name} that holds what is no number")
    return raw
