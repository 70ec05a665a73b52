"""The Open Inference Protocol v2 over HTTP: JSON, or JSON with the tensors' bytes behind it.

References
----------
The `specification <https://github.com/open-inference/open-inference-protocol>`_ and Triton's `binary tensor data
extension <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>`_.
tritonclient's own HTTP client needs gevent, which patches sockets and would be there for this alone.
"""

from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from inference.backends.remote.failures import WrongAnswer
from inference.backends.remote.http_client import Answer
from inference.backends.remote.http_wire import JSON, HttpWire, Request
from inference.backends.remote.json_values import decoded, encoded, numbers
from inference.backends.remote.raw_tensors import from_bytes, shaped, to_bytes
from inference.backends.remote.remote_toml import RemoteModel
from inference.backends.remote.tensors import Inputs, Tensor, scores_of
from inference.packages.model_toml import ModelPackage

_JSON_BYTES = "inference-header-content-length"


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: Any = None
    parameters: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    outputs: list[_Output]


class OipHttp(HttpWire):
    """A `Wire` of the Open Inference Protocol."""

    def __init__(self, remote: RemoteModel, package: ModelPackage) -> None:
        version = f"/versions/{quote(remote.version, safe='')}" if remote.version else ""
        super().__init__(remote, f"/v2/models/{quote(remote.model or package.name, safe='')}{version}/infer")
        self._inputs = Inputs(remote, package.schema)
        self._outputs, self._binary, self._nan = remote.outputs, remote.binary, remote.missing == "NaN"

    def request(self, matrix: np.ndarray) -> Request:
        """Write a batch."""
        tensors = self._inputs(matrix)
        raw = [to_bytes(tensor) for tensor in tensors] if self._binary else []
        inputs = [self._input(tensor, raw[n] if raw else None) for n, tensor in enumerate(tensors)]
        tree: dict[str, Any] = {"inputs": inputs}
        if self._outputs:
            tree["outputs"] = [{"name": output.name} for output in self._outputs]
        if not self._binary:
            return JSON, encoded(tree, nan=self._nan)
        head = encoded({**tree, "parameters": {"binary_data_output": True}}, nan=False)
        headers = {"content-type": "application/octet-stream", _JSON_BYTES: str(len(head))}
        return headers, b"".join([head, *raw])

    @staticmethod
    def _input(tensor: Tensor, raw: bytes | None) -> dict[str, Any]:
        values = tensor.values
        entry = {"name": tensor.name, "datatype": tensor.dtype, "shape": list(values.shape)}
        if raw is None:
            return {**entry, "data": values.ravel().tolist()}
        return {**entry, "parameters": {"binary_data_size": len(raw)}}

    def scores(self, answer: Answer, rows: int) -> np.ndarray:
        """Read an answer."""
        size = answer.headers.get(_JSON_BYTES, "")
        split = int(size) if size.isdigit() else len(answer.body)
        try:
            head = msgspec.convert(decoded(answer.body[:split]), _Answer)
        except msgspec.ValidationError as error:
            raise WrongAnswer(f"answers with JSON that is none of the Open Inference Protocol: {error}") from None
        tensors, at = {}, split
        for output in head.outputs:
            raw_bytes = (output.parameters or {}).get("binary_data_size")
            stop = at + raw_bytes if isinstance(raw_bytes, int) and raw_bytes >= 0 else at
            if self._wanted(output.name):
                raw = None if raw_bytes is None else answer.body[at:stop]
                tensors[output.name] = _values(output, raw)
            at = stop
        return scores_of(tensors, self._outputs, rows)

    def _wanted(self, name: str) -> bool:
        return not self._outputs or any(name == output.name for output in self._outputs)


def _values(output: _Output, raw: bytes | None) -> np.ndarray:
    if raw is not None:
        return from_bytes(output.name, output.datatype, output.shape, raw)
    if output.datatype == "BYTES":
        raise WrongAnswer(f"answers with {output.name!r} of dtype BYTES; a score is a number")
    return shaped(output.name, numbers(output.data, repr(output.name)), output.shape)
