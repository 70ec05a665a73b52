"""The protocol over HTTP, and what a process says of its health: ``/livez``, ``/readyz``, ``/metrics``.

aiohttp serves it, which Faust's roles use as well: a caller that goes away is a cancelled task, as with gRPC.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed_version
from typing import Any
from urllib.parse import urlsplit

import msgspec
import prometheus_client
from aiohttp import web

from inference.oip import http_wire
from inference.oip.listening import BODY_BYTES_MAX, Listening, NotListening
from inference.oip.refusals import InvalidRequest, count, refusal_of
from inference.oip.versions import PLATFORM, Versions, metadata_of
from streams.runtime import connections

#: A body that is larger is read aside, so that the loop goes on.
_ASIDE_BYTES = 65_536
#: A whole request comes within so long.
_BODY_S_MAX = 30.0
#: Between two requests of a connection; a version's slowest call is shorter.
_QUIET_S_MAX = 120.0
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
EXTENSIONS = ("binary_tensor_data",)


class HttpServer:
    """Answers over HTTP.

    Parameters
    ----------
    versions
        What is served.
    """

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._hosts: frozenset[str] | None = None
        self._runner: Any = None
        self._bounding: asyncio.Task[None] | None = None

    async def start(self, listening: Listening, stop_s: float) -> int:
        """Begin to listen; returns the port.

        Parameters
        ----------
        listening
            Where.
        stop_s
            How long `stop` waits for what runs.

        Raises
        ------
        NotListening
            The port is taken, or the address is not here.
        """
        # On loopback another site's page may reach us through a browser, by a name of its own.
        self._hosts = _LOCAL | {listening.host} if listening.is_loopback else None

        @web.middleware  # type: ignore[untyped-decorator]
        async def guard(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
            return await self._guard(request, handler)

        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[guard])
        app.add_routes([web.get(path, page) for path, page in self._pages().items()])
        for before in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            app.router.add_post(f"{before}/infer", self._infer)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=stop_s)
        await self._runner.setup()
        site = web.TCPSite(self._runner, listening.host, listening.http_port, ssl_context=listening.context())
        try:
            await site.start()
        except OSError as error:
            raise NotListening(
                f"HTTP cannot listen on {listening.host}:{listening.http_port}: {error.strerror}; set --http-port or "
                "--host"
            ) from error
        self._bounding = asyncio.create_task(connections.bound(lambda: self._runner.server, _QUIET_S_MAX))
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Take no new connections, and wait for the requests that run."""
        if self._bounding is not None:
            self._bounding.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def _pages(self) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        model = "/v2/models/{model}"
        version = f"{model}/versions/{{version}}"
        return {
            "/livez": self._live,
            "/readyz": self._ready,
            "/metrics": self._metrics,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/v2": self._server,
            **dict.fromkeys((f"{model}/ready", f"{version}/ready"), self._model_ready),
            **dict.fromkeys((model, version), self._model),
        }

    async def _guard(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            if self._hosts is not None and _host_of(request) not in self._hosts:
                raise InvalidRequest("the Host header is not of this machine; ask 127.0.0.1")
            return await handler(request)
        except web.HTTPException as error:
            return _json({"error": error.reason}, error.status)
        except Exception as error:
            refusal = refusal_of(error)
            return _json({"error": refusal.text}, refusal.http_status)

    async def _live(self, request: Any) -> Any:  # noqa: ARG002
        return web.Response(text="ok\n")

    async def _ready(self, request: Any) -> Any:  # noqa: ARG002
        why = self._versions.trouble()
        return web.Response(text="\n".join(why or ["ok"]) + "\n", status=503 if why else 200)

    async def _metrics(self, request: Any) -> Any:  # noqa: ARG002
        return web.Response(body=prometheus_client.generate_latest(), content_type="text/plain")

    async def _server(self, request: Any) -> Any:  # noqa: ARG002
        return _json({"name": PLATFORM, "version": installed_version("driftline"), "extensions": EXTENSIONS})

    async def _model_ready(self, request: Any) -> Any:
        names = _names(request)
        return _json({"name": names[0], "ready": (ready := self._versions.is_ready(*names))}, 200 if ready else 503)

    async def _model(self, request: Any) -> Any:
        model, version = _names(request)
        batcher = self._versions.find(model, version)
        return _json({**metadata_of(batcher), "versions": self._versions.versions_of(model)})

    async def _infer(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(_BODY_S_MAX):
                body = await request.read()
        except TimeoutError:
            late = InvalidRequest(f"the body did not come within {_BODY_S_MAX:g} s")
            count(late)
            raise late from None
        given = (*_names(request), body, request.headers.get(http_wire.JSON_LENGTH))
        try:
            if len(body) > _ASIDE_BYTES:
                scoring, binary = await asyncio.to_thread(http_wire.request_of, *given)
            else:
                scoring, binary = http_wire.request_of(*given)
        except InvalidRequest as error:
            count(error)
            raise
        body, headers = http_wire.body_of(await self._versions.infer(scoring), binary)
        return web.Response(body=body, headers=headers)


def _host_of(request: Any) -> str:
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:  # as [::1 is none
        return ""


def _names(request: Any) -> tuple[str, str]:
    return request.match_info["model"], request.match_info.get("version", "")


def _json(tree: Any, status: int = 200) -> Any:
    return web.Response(body=msgspec.json.encode(tree), status=status, content_type="application/json")
