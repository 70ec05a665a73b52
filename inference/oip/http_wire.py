"""The protocol's JSON, with the tensors' bytes behind it where a client wants so, as requests and answers.

A missing number is ``null``; ``NaN``, which JSON has not and some clients write, is read as well. A row without a score
is ``null`` in the answer.

References
----------
Triton's `binary tensor data extension
<https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>`_.
"""

import json
from typing import Any

import msgspec

from inference.oip.refusals import InvalidRequest
from inference.oip.requests import DATATYPE, INPUT, OUTPUT, InferAnswer, InferRequest, Tensor

#: Header with the length of the JSON, where bytes follow it.
JSON_LENGTH = "Inference-Header-Content-Length"


class _Parameters(msgspec.Struct):
    binary_data_size: int | None = None
    binary_data: bool = False
    binary_data_output: bool = False
    bucket: int = 0


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    outputs: list[_Output] = []
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


def request_of(model: str, version: str, body: bytes, json_length: str | None) -> tuple[InferRequest, bool]:
    """Read a request for scores, and whether its answer is to be bytes.

    Parameters
    ----------
    model, version
        From the path; an empty version is none.
    body
        JSON, and the tensors' bytes behind it.
    json_length
        The header `JSON_LENGTH`.

    Raises
    ------
    InvalidRequest
        It is no JSON, or not the protocol's.
    """
    end = _json_end(json_length, len(body))
    tree = _decoded(body[:end])
    tensors = []
    for tensor in tree.inputs:
        raw, size = None, tensor.parameters.binary_data_size
        if size is not None:
            if not 0 <= size <= len(body) - end:
                raise InvalidRequest(f"binary_data_size is {size}, and {len(body) - end} bytes follow; send as many")
            raw, end = body[end : end + size], end + size
        values = None if tensor.data is None else _numbers(tensor.data)
        tensors.append(Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), raw, values))
    if end != len(body):
        raise InvalidRequest(f"{len(body) - end} bytes belong to no tensor; set {JSON_LENGTH} and binary_data_size")
    binary = tree.parameters.binary_data_output or any(output.parameters.binary_data for output in tree.outputs)
    outputs = tuple(output.name for output in tree.outputs)
    return InferRequest(model, version, tree.id, tuple(tensors), outputs, tree.parameters.bucket), binary


def _json_end(json_length: str | None, size: int) -> int:
    if json_length is None:
        return size
    if not (json_length.isascii() and json_length.isdigit()) or len(json_length) > 12 or int(json_length) > size:
        raise InvalidRequest(f"the header {JSON_LENGTH} is no length within the body of {size} bytes")
    return int(json_length)


def _decoded(text: bytes) -> _Request:
    try:
        return msgspec.json.decode(text, type=_Request)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        if b"NaN" not in text:
            raise InvalidRequest(f"the body is no request: {error}") from None
    try:
        return msgspec.convert(json.loads(text), _Request)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise InvalidRequest(f"the body is no request: {error}") from None


def _numbers(data: list[Any]) -> list[float | None]:
    """Numbers row by row, from lists of them or one list of all.

    >>> _numbers([[1, None], [2, 3]]) == _numbers([1, None, 2, 3]) == [1.0, None, 2.0, 3.0]
    True
    """
    try:
        if data and isinstance(data[0], list):
            return [cell for row in msgspec.convert(data, list[list[float | None]]) for cell in row]
        return msgspec.convert(data, list[float | None])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"{INPUT!r}: {error}; send numbers, null where one is missing") from None


def body_of(answer: InferAnswer, binary: bool) -> tuple[bytes, dict[str, str]]:
    """Write an answer: its body, and headers.

    Parameters
    ----------
    answer
        What to write.
    binary
        The scores as bytes behind the JSON.
    """
    output: dict[str, Any] = {"name": OUTPUT, "datatype": DATATYPE, "shape": list(answer.scores.shape)}
    raw = answer.scores.astype("<f4", copy=False).tobytes() if binary else b""
    if binary:
        output["parameters"] = {"binary_data_size": len(raw)}
    else:
        output["data"] = answer.scores.ravel().tolist()  # msgspec writes NaN as null
    tree: dict[str, Any] = {"model_name": answer.model, "model_version": answer.version, "outputs": [output]}
    tree["parameters"] = answer.parameters
    if answer.id:
        tree["id"] = answer.id
    head = msgspec.json.encode(tree)
    if not binary:
        return head, {"content-type": "application/json"}
    return head + raw, {"content-type": "application/octet-stream", JSON_LENGTH: str(len(head))}
