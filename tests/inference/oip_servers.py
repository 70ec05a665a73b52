"""Both wires in this process, on free ports, over models that do as they are told."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import tritonclient.grpc as triton
from doubling import Doubling, package_of
from urllib3 import PoolManager

from inference import Patience, Scorer
from inference.oip.grpc_server import GrpcServer
from inference.oip.http_server import HttpServer
from inference.oip.listening import Listening
from inference.oip.versions import Named, Versions

DEADLINE_S = 20.0


class Servers:
    """A gRPC and an HTTP server over ``m@v1``, ``m@v2`` and ``wide@v1``."""

    def __init__(self, listening: Listening | None = None, load=None, regions=None) -> None:
        self.models = {}
        self.versions = Versions(load or self._load, [Named("m", "v1"), Named("m", "v2"), Named("wide", "v1")])
        self.errors = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._grpc, self._http = GrpcServer(self.versions, regions), HttpServer(self.versions)
        listening = listening or Listening("127.0.0.1", 0, 0)
        self.grpc_port = self.wait(self._grpc.start(listening))
        self.http_port = self.wait(self._http.start(listening, 1.0))
        self.pool = PoolManager(timeout=DEADLINE_S, retries=False)

    def _load(self, name, version):
        package = package_of(name, version)
        model = self.models[name, version] = Doubling(package.limits.shapes)
        scorer = Scorer(package, model, Patience(), sleep=lambda s: None)
        model.forget()
        return scorer

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE_S)

    def load(self) -> None:
        self.versions._load_all(self.errors.append)
        assert not self.errors

    @contextmanager
    def client(self, **more) -> Iterator[triton.InferenceServerClient]:
        client = triton.InferenceServerClient(f"127.0.0.1:{self.grpc_port}", **more)
        try:
            yield client
        finally:
            client.close()

    def http(self, method, path, **more):
        return self.pool.request(method, f"http://127.0.0.1:{self.http_port}{path}", **more)

    def stop(self) -> None:
        for model in self.models.values():
            model.gate.set()
        for coroutine in (self.versions.close(5.0), self._grpc.stop(1.0), self._http.stop()):
            self.wait(coroutine)
        self.pool.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
