"""The Open Inference Protocol v2 over gRPC: messages and stub are tritonclient's."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from inference.backends.errors import ArtefactError
from inference.backends.remote.failures import WrongAnswer, of_code
from inference.backends.remote.raw_tensors import from_bytes, shaped, to_bytes
from inference.backends.remote.remote_toml import RemoteModel
from inference.backends.remote.tensors import Inputs, scores_of
from inference.packages.model_toml import ModelPackage

#: Where an answer that is not raw has its values, by dtype.
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class OipGrpc:
    """A `Wire` of the Open Inference Protocol."""

    def __init__(self, remote: RemoteModel, package: ModelPackage) -> None:
        self._model, self._version = remote.model or package.name, remote.version
        self._inputs, self._outputs = Inputs(remote, package.schema), remote.outputs
        self._refusals = tuple(map(str, remote.refusals))
        self._calls = [
            service_pb2_grpc.GRPCInferenceServiceStub(_channel(address, remote)).ModelInfer
            for address in remote.addresses
        ]

    def request(self, matrix: np.ndarray) -> Any:
        """Write a batch."""
        message = service_pb2.ModelInferRequest(model_name=self._model, model_version=self._version)
        for tensor in self._inputs(matrix):
            message.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=tensor.values.shape)
            message.raw_input_contents.append(to_bytes(tensor))
        for output in self._outputs:
            message.outputs.add(name=output.name)
        return message

    def call(self, address: int, request: Any, headers: dict[str, str], timeout_s: float) -> Any:
        """Ask; see `inference.backends.remote.protocols.Wire`.

        Parameters
        ----------
        address
            Its number.
        request, headers
            The message, and its metadata.
        timeout_s
            For all of it.
        """
        try:
            return self._calls[address](request, timeout=timeout_s, metadata=tuple(headers.items()))
        except grpc.RpcError as error:
            code, text = error.code().name, error.details() or ""
            if code == "RESOURCE_EXHAUSTED" and "CLIENT:" in text:
                raise WrongAnswer(f"answers with more than it may: {text}; see answer_bytes_max") from None
            raise of_code(code, text, self._refusals) from None

    def scores(self, answer: Any, rows: int) -> np.ndarray:
        """Read an answer."""
        wanted = {output.name for output in self._outputs}
        raw = list(answer.raw_output_contents)
        if raw and len(raw) != len(answer.outputs):
            raise WrongAnswer(f"answers with {len(answer.outputs)} tensors and the bytes of {len(raw)}")
        tensors = {
            output.name: _values(output, raw[n] if raw else None)
            for n, output in enumerate(answer.outputs)
            if not wanted or output.name in wanted
        }
        return scores_of(tensors, self._outputs, rows)


def _values(output: Any, raw: bytes | None) -> np.ndarray:
    if raw is not None:
        return from_bytes(output.name, output.datatype, output.shape, raw)
    field = _CONTENTS.get(output.datatype)
    if field is None:
        raise WrongAnswer(f"answers with {output.name!r} of dtype {output.datatype[:20]}; a score is a number")
    return shaped(output.name, np.array(getattr(output.contents, field)), output.shape)


def _channel(address: str, remote: RemoteModel) -> grpc.Channel:
    parts = urlsplit(address)
    options = [
        ("grpc.max_receive_message_length", remote.answer_bytes_max),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),  # ours have a budget
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),  # the breaker knows when to ask again
        # Channels of one process to one address share their connection otherwise, and its settings.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if parts.scheme == "grpc":
        return grpc.insecure_channel(parts.netloc, options)
    try:
        authorities = Path(remote.ca).read_bytes() if remote.ca else None
    except OSError as error:
        raise ArtefactError(f"ca {remote.ca!r}: {error.strerror}; name a PEM file of authorities") from error
    return grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(authorities), options)
