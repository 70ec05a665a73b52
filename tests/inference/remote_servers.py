"""Servers of the test's own on loopback, and packages whose model is there: one function says what they answer."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from inference import Limits, ModelPackage
from inference.backends.remote.remote_model import Remote
from streams.wire.schema import Feature

INPUTS = (Feature("x"), Feature("city", "categorical", categories=("Rome", "Oslo")), Feature("vip", "boolean"))


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that goes away is what some tests are about


@contextmanager
def http_server(answer, port=0):
    """Serve `answer(path, headers, body)`: (status, headers, body), or a function that writes to the socket itself.

    Yields its address.
    """

    connections = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: a second one waits 40 ms for the first to be acknowledged

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            said = answer(self.path, dict(self.headers.items()), body)
            if callable(said):
                self.close_connection = True
                said(self.wfile)
                self.wfile.flush()
                return
            status, headers, data = said
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(data))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def setup(self):
            super().setup()
            connections.append(self.connection)

        def log_message(self, *args):
            pass

    server = _Quiet(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        for connection in connections:  # which are kept alive, as a server's that has ended are not
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """The protocol's service; `answer(request, context)` gives the response."""

    def __init__(self, answer):
        self._answer = answer

    def ModelInfer(self, request, context):
        return self._answer(request, context)


@contextmanager
def grpc_server(answer, port=0):
    """Serve `answer(request, context)`; yields its address."""
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(answer), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{bound}"
    finally:
        server.stop(0).wait()


def remote(folder, text, inputs=INPUTS, task="regression", ticks=None, **more):
    """A backend by the text of a `remote.toml`."""
    package = ModelPackage(
        name="churn",
        version="v2",
        task=task,
        artefact="remote.toml",
        inputs=inputs,
        limits=Limits(batch_rows=16),
        **more,
    )
    (folder / "remote.toml").write_text(text)
    backend = Remote.from_file(package, folder / "remote.toml", **({"ticks": ticks} if ticks else {}))
    return package, backend


def score_of(matrix):
    """What every server of these tests answers: a number that only this row has, NaN where x is missing."""
    return (2 * matrix[:, 0] + 10 * matrix[:, 1] + 100 * np.nan_to_num(matrix[:, 2], nan=7)).astype(np.float32)


def oip_json(path, headers, body):
    """Answer by the Open Inference Protocol over HTTP, as JSON."""
    [tensor] = json.loads(body)["inputs"]
    matrix = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    data = [None if value != value else value for value in score_of(matrix).tolist()]
    output = {"name": "p", "datatype": "FP32", "shape": [len(matrix), 1], "data": data}
    return 200, {}, json.dumps({"model_name": "churn", "outputs": [output]}).encode()


def oip_binary(path, headers, body):
    """Answer by the Open Inference Protocol over HTTP, with bytes behind the JSON; another tensor comes first."""
    split = int(headers["inference-header-content-length"])
    [tensor] = json.loads(body[:split])["inputs"]
    matrix = np.frombuffer(body[split:], "<f4").reshape(tensor["shape"])
    scores = score_of(matrix).tobytes()
    other = {"name": "q", "datatype": "INT8", "shape": [2], "parameters": {"binary_data_size": 2}}
    output = {"name": "p", "datatype": "FP32", "shape": [len(matrix)], "parameters": {"binary_data_size": len(scores)}}
    head = json.dumps({"outputs": [other, output]}).encode()
    return 200, {"Inference-Header-Content-Length": str(len(head))}, head + b"\x01\x02" + scores


def tf_rows(path, headers, body):
    """Answer as TF Serving does to instances."""
    matrix = np.array(json.loads(body)["instances"], np.float32)
    return 200, {}, json.dumps({"predictions": score_of(matrix)[:, None].tolist()}).encode()


def tf_columns(path, headers, body):
    """Answer as TF Serving does to named inputs."""
    columns = json.loads(body)["inputs"]
    matrix = np.concatenate([np.array(columns[name], np.float32).reshape(-1, 1) for name in ("a", "b", "c")], 1)
    return 200, {}, json.dumps({"outputs": {"p": score_of(matrix).tolist(), "q": [1]}}).encode()


def plain(path, headers, body):
    """Answer to rows by name, as a service of somebody's own does."""
    rows = json.loads(body)["data"]["rows"]
    codes = {"Rome": 0, "Oslo": 1, "": 2, None: 3}
    cells = [[row["x"], codes[row["city"]], row["vip"]] for row in rows]
    matrix = np.array([[np.nan if cell is None else cell for cell in row] for row in cells], np.float32).reshape(-1, 3)
    return 200, {}, json.dumps({"rows": [{"p": {"value": value}} for value in score_of(matrix).tolist()]}).encode()


def oip_grpc(request, context):
    """Answer by the Open Inference Protocol over gRPC, with raw tensors."""
    matrix = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(request.inputs[0].shape)
    response = service_pb2.ModelInferResponse(model_name=request.model_name)
    response.outputs.add(name="p", datatype="FP32", shape=[len(matrix), 1])
    response.raw_output_contents.append(score_of(matrix).tobytes())
    return response


def oip_grpc_contents(request, context):
    """The same with the values in the message, as FP64."""
    matrix = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(request.inputs[0].shape)
    response = service_pb2.ModelInferResponse(model_name=request.model_name)
    output = response.outputs.add(name="p", datatype="FP64", shape=[len(matrix)])
    output.contents.fp64_contents.extend(score_of(matrix).tolist())
    return response


def late(wfile):
    """Never answer; the client's deadline ends it."""
    time.sleep(3)


def half(wfile):
    """Send half of what was announced."""
    wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b'{"outputs": [')


def endless(wfile):
    """Send chunks for as long as anybody reads them."""
    wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        wfile.write(b"400\r\n" + b" " * 1024 + b"\r\n")
        wfile.flush()


def drip_headers(wfile):
    """Send a header a byte at a time, each within the limit of a socket."""
    wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    wfile.flush()
    for _ in range(300):
        wfile.write(b"a")
        wfile.flush()
        time.sleep(0.02)


def drip_body(wfile):
    """Send a body a byte at a time."""
    wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(300):
        wfile.write(b" ")
        wfile.flush()
        time.sleep(0.02)
