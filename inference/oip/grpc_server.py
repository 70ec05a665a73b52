"""The protocol over gRPC: the calls that ask. Those that load, change or trace are not there: UNIMPLEMENTED."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed_version
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from inference.oip import grpc_wire
from inference.oip.listening import BODY_BYTES_MAX, CALLS_MAX, Listening, NotListening
from inference.oip.refusals import InvalidRequest, count, refusal_of
from inference.oip.shared_memory import Regions
from inference.oip.versions import PLATFORM, Versions

_SERVICE = "inference.GRPCInferenceService"
EXTENSIONS = ("model_configuration",)
_OPTIONS = [
    ("grpc.max_receive_message_length", BODY_BYTES_MAX),
    ("grpc.max_metadata_size", 16_384),
    ("grpc.so_reuseport", 0),  # else a second process shares the port, and each gets half of the calls
    # Clients may ask for a sign of life every 10 s, and while nothing runs.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class GrpcServer:
    """Answers over gRPC.

    Parameters
    ----------
    versions
        What is served.
    regions
        Shared memory that clients may register; None where they may not.
    """

    def __init__(self, versions: Versions, regions: Regions | None = None) -> None:
        self._versions, self._regions = versions, regions
        self._server: Any = None

    async def start(self, listening: Listening) -> int:
        """Begin to listen; returns the port.

        Raises
        ------
        NotListening
            The port is taken, or the address is not here.
        """
        self._server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        handlers = {name: self._handler(name, call) for name, call in self._calls().items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        host = f"[{listening.host}]" if ":" in listening.host else listening.host
        where = f"{host}:{listening.grpc_port}"
        try:
            port = self._bind(where, listening)
        except RuntimeError as error:
            raise NotListening(
                f"gRPC cannot listen on {where}: it is taken, or not of this machine; set --grpc-port or --host"
            ) from error
        await self._server.start()
        return int(port)

    def _bind(self, where: str, listening: Listening) -> int:
        pair = listening.pair()
        if pair is None:
            return int(self._server.add_insecure_port(where))
        certificate, key = pair
        return int(self._server.add_secure_port(where, grpc.ssl_server_credentials([(key, certificate)])))

    async def stop(self, wait_s: float) -> None:
        """Refuse new calls at once, and wait for those that run."""
        if self._server is not None:
            await self._server.stop(wait_s)
        if self._regions is not None:
            self._regions.unregister()

    def _calls(self) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        return {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelInfer": self._infer,
            **(self._shared_memory(self._regions) if self._regions is not None else {}),
        }

    def _shared_memory(self, regions: Regions) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        async def status(request: Any) -> Any:
            return grpc_wire.regions_of(regions, request.name)

        async def register(request: Any) -> Any:
            regions.register(request.name, request.key, request.offset, request.byte_size)
            return service_pb2.SystemSharedMemoryRegisterResponse()

        async def unregister(request: Any) -> Any:
            regions.unregister(request.name)
            return service_pb2.SystemSharedMemoryUnregisterResponse()

        calls = {"Status": status, "Register": register, "Unregister": unregister}
        return {f"SystemSharedMemory{name}": call for name, call in calls.items()}

    def _handler(self, name: str, call: Callable[[Any], Awaitable[Any]]) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            try:
                return await call(request)
            except Exception as error:
                refusal = refusal_of(error)
            return await context.abort(getattr(grpc.StatusCode, refusal.grpc_code), refusal.text)

        request_kind = getattr(service_pb2, f"{name}Request")
        answer_kind = getattr(service_pb2, f"{name}Response")
        return grpc.unary_unary_rpc_method_handler(answer, request_kind.FromString, answer_kind.SerializeToString)

    async def _server_live(self, request: Any) -> Any:  # noqa: ARG002
        return service_pb2.ServerLiveResponse(live=True)

    async def _server_ready(self, request: Any) -> Any:  # noqa: ARG002
        return service_pb2.ServerReadyResponse(ready=not self._versions.trouble())

    async def _server_metadata(self, request: Any) -> Any:  # noqa: ARG002
        version = installed_version("driftline")
        more = () if self._regions is None else ("system_shared_memory",)
        return service_pb2.ServerMetadataResponse(name=PLATFORM, version=version, extensions=[*EXTENSIONS, *more])

    async def _model_ready(self, request: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=self._versions.is_ready(request.name, request.version))

    async def _model_metadata(self, request: Any) -> Any:
        batcher = self._versions.find(request.name, request.version)
        return grpc_wire.metadata(batcher, self._versions.versions_of(request.name))

    async def _model_config(self, request: Any) -> Any:
        return grpc_wire.config(self._versions.find(request.name, request.version))

    async def _infer(self, message: Any) -> Any:
        try:
            request = grpc_wire.request_of(message, self._regions)
        except InvalidRequest as error:
            count(error)
            raise
        return grpc_wire.message_of(await self._versions.infer(request))
