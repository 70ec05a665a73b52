"""Messages of the protocol's gRPC service, which are tritonclient's, as requests, and answers as messages."""

from typing import Any

import msgspec
from tritonclient.grpc import model_config_pb2, service_pb2

from inference.oip.refusals import InvalidRequest
from inference.oip.requests import BUCKET, DATATYPE, INPUT, OUTPUT, InferAnswer, InferRequest, Tensor
from inference.oip.shared_memory import Regions
from inference.oip.versions import PLATFORM, metadata_of
from inference.serving.batcher import Batcher

#: Parameters of a tensor that lies in shared memory.
_REGION, _REGION_OFFSET, _REGION_SIZE = "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"


def request_of(message: Any, regions: Regions | None = None) -> InferRequest:
    """Read a request for scores; tensors in shared memory are copied out of ``regions``.

    Raises
    ------
    InvalidRequest
        Raw bytes are not one for each tensor that is sent, or the bucket is no number, or there is no such region.
    """
    sent = [tensor for tensor in message.inputs if _REGION not in tensor.parameters]
    raw = message.raw_input_contents
    if raw and len(raw) != len(sent):
        raise InvalidRequest(f"{len(sent)} input tensors came, and raw bytes of {len(raw)}; send one for each")
    if any(_REGION in output.parameters for output in message.outputs):
        raise InvalidRequest("scores are sent back, and never written to shared memory; leave the region out")
    rest = iter(raw)
    tensors = tuple(
        _tensor(tensor, _shared(tensor.parameters, regions) if _REGION in tensor.parameters else next(rest, None))
        for tensor in message.inputs
    )
    outputs = tuple(output.name for output in message.outputs)
    bucket = _bucket(message.parameters[BUCKET]) if BUCKET in message.parameters else 0
    return InferRequest(message.model_name, message.model_version, message.id, tensors, outputs, bucket)


def _shared(parameters: Any, regions: Regions | None) -> bytes:
    if regions is None:
        raise InvalidRequest("shared memory is off; send the tensor, or start this server with --shared-memory")
    size, offset = _int(parameters, _REGION_SIZE), _int(parameters, _REGION_OFFSET)
    return regions.read(parameters[_REGION].string_param, offset, size)


def _int(parameters: Any, name: str) -> int:
    return int(parameters[name].int64_param) if name in parameters else 0


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


def regions_of(regions: Regions, name: str) -> Any:
    """What is registered: one region, or all where the name is empty."""
    message = service_pb2.SystemSharedMemoryStatusResponse()
    for known, region in regions.listed().items():
        if name in ("", known):
            status = message.regions[known]
            status.name, status.key = known, region.key
            status.offset, status.byte_size = region.offset, region.byte_size
    return message
