"""The process: both wires, until it is told to stop, or only a new process can go on."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from inference.backends import Fatal
from inference.oip.grpc_server import GrpcServer
from inference.oip.http_server import HttpServer
from inference.oip.listening import Listening
from inference.oip.shared_memory import Regions
from inference.oip.versions import Versions
from streams.logs import logger

#: What computes when it is told to stop is finished, if it is by then; a second later the process is gone.
_STOP_S, _GONE_S = 8.0, 9.5
_LOOK_S = 0.5


class Server:
    """Serves versions over gRPC and HTTP.

    Parameters
    ----------
    versions
        What is served; loaded when it runs.
    listening
        Where.
    """

    def __init__(self, versions: Versions, listening: Listening) -> None:
        self._versions, self._listening = versions, listening
        self._grpc = GrpcServer(versions, Regions() if listening.shared_memory else None)
        self._http = HttpServer(versions)
        self._error: Exception | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises
        ------
        NotListening
            A port is taken.
        RegistryError, ArtefactError
            A version cannot be loaded.
        Fatal
            Only a new process can go on.
        """
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)

        def fail(error: Exception) -> None:
            self._error = self._error or error
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(stopping.set)

        watching = asyncio.create_task(self._watch(fail))
        try:
            await self._listen()
            self._versions.load(fail)
            await stopping.wait()
        finally:
            watching.cancel()
            await self._end()
        if self._error is not None:
            raise self._error

    async def _listen(self) -> None:
        listening, log = self._listening, logger(__name__)
        if listening.certificate is None and not listening.is_loopback:
            log.warning(
                "oip.unprotected",
                host=listening.host,
                why="whoever reaches this address may ask the models, and rows and scores travel in the open",
                remedy="give --tls-certificate and --tls-key, and let only your own network reach it",
            )
        grpc_port = await self._grpc.start(listening)
        http_port = await self._http.start(listening, _STOP_S)
        log.info("oip.listens", host=listening.host, grpc_port=grpc_port, http_port=http_port)

    async def _watch(self, fail: Callable[[Exception], None]) -> None:
        while not (why := self._versions.hung()):
            await asyncio.sleep(_LOOK_S)
        fail(Fatal(why))

    async def _end(self) -> None:
        ending = threading.Timer(_GONE_S, os._exit, (1,))
        ending.daemon = True
        ending.start()  # some code of a model's own may hold us
        logger(__name__).info("oip.stops", why=str(self._error or "it was told to"))
        wait_s = _STOP_S if self._error is None else 1.0  # a batch that hangs is not waited for
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s + 0.5):
                await asyncio.gather(self._versions.close(wait_s), self._grpc.stop(wait_s), self._http.stop())
        logger(__name__).info("oip.stopped")
