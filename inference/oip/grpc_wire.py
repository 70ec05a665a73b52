"""Messages of the protocol's gRPC service, which are tritonclient's, as requests, and answers as messages."""

from typing import Any

import msgspec
from tritonclient.grpc import model_config_pb2, service_pb2

from inference.oip.refusals import InvalidRequest
from inference.oip.requests import BUCKET, DATATYPE, INPUT, OUTPUT, InferAnswer, InferRequest, Tensor
from inference.oip.versions import PLATFORM, metadata_of
from inference.serving.batcher import Batcher


def request_of(message: Any) -> InferRequest:
    """Read a request for scores.

    Raises
    ------
    InvalidRequest
        Raw bytes are not one for each tensor, or the bucket is no number.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequest(
            f"{len(message.inputs)} input tensors came, and raw bytes of {len(raw)}; send one for each"
        )
    tensors = tuple(_tensor(tensor, raw[n] if raw else None) for n, tensor in enumerate(message.inputs))
    outputs = tuple(output.name for output in message.outputs)
    bucket = _bucket(message.parameters[BUCKET]) if BUCKET in message.parameters else 0
    return InferRequest(message.model_name, message.model_version, message.id, tensors, outputs, bucket)


def _tensor(tensor: Any, raw: bytes | None) -> Tensor:
    # What else may stand in typed contents is of another datatype, which is refused by its name.
    typed = tensor.contents.fp32_contents if tensor.HasField("contents") else None
    return Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), raw, typed)


def _bucket(parameter: Any) -> int:
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in ("int64_param", "uint64_param"):
        raise InvalidRequest(f"the parameter {BUCKET!r} is no whole number; send one of the model's shapes")
    return int(getattr(parameter, kind))


def message_of(answer: InferAnswer) -> Any:
    """Write an answer; scores as raw bytes."""
    message = service_pb2.ModelInferResponse(model_name=answer.model, model_version=answer.version, id=answer.id)
    message.outputs.add(name=OUTPUT, datatype=DATATYPE, shape=answer.scores.shape)
    message.raw_output_contents.append(answer.scores.astype("<f4", copy=False).tobytes())
    for name, value in answer.parameters.items():
        message.parameters[name].string_param = value
    return message


def metadata(batcher: Batcher, versions: list[str]) -> Any:
    """What a version takes and gives."""
    known = metadata_of(batcher)
    message = service_pb2.ModelMetadataResponse(name=known["name"], versions=versions, platform=PLATFORM)
    for given, tensors in ((message.inputs, known["inputs"]), (message.outputs, known["outputs"])):
        for tensor in tensors:
            given.add(**tensor)
    return message


def config(batcher: Batcher) -> Any:
    """What has no place in the metadata: shapes, waiting time, and as JSON in parameters the columns and classes."""
    known = metadata_of(batcher)["parameters"]
    shapes = known["buckets"]
    message = model_config_pb2.ModelConfig(
        name=batcher.package.name,
        platform=PLATFORM,
        max_batch_size=shapes[-1],
        input=[_tensor_config(model_config_pb2.ModelInput, INPUT, len(batcher.package.inputs))],
        output=[_tensor_config(model_config_pb2.ModelOutput, OUTPUT, batcher.outputs)],
        dynamic_batching=model_config_pb2.ModelDynamicBatching(
            preferred_batch_size=shapes,
            max_queue_delay_microseconds=1_000 * batcher.package.limits.wait_ms_max,
        ),
    )
    for name, value in known.items():
        message.parameters[name].string_value = msgspec.json.encode(value).decode()
    return service_pb2.ModelConfigResponse(config=message)


def _tensor_config(kind: Any, name: str, columns: int) -> Any:
    return kind(name=name, data_type=model_config_pb2.TYPE_FP32, dims=[columns])
