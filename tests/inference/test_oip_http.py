"""The same protocol over HTTP: JSON, bytes behind it, health and metrics."""

import json
import socket
import time

import numpy as np
import pytest
from doubling import DEADLINE_S
from oip_servers import Servers
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from inference.oip import http_server
from inference.oip.listening import BODY_BYTES_MAX, Listening, NotListening

INFER = "/v2/models/m/infer"


@pytest.fixture(scope="module")
def servers():
    servers = Servers()
    servers.load()
    yield servers
    servers.stop()


def tensor(data, **changes):
    rows = len(data) if isinstance(data, list) else 1
    return {"name": "matrix", "datatype": "FP32", "shape": [rows, 1], "data": data, **changes}


def post(servers, tree, path=INFER, **more):
    body = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    answer = servers.http("POST", path, body=body, **more)
    return answer.status, answer


def scored(servers, tree, **more):
    status, answer = post(servers, tree, **more)
    assert status == 200, answer.data
    return json.loads(answer.data)


@pytest.mark.parametrize("data", [[1, 2.5, 3], [[1], [2.5], [3]]])
def test_a_batch_is_scored(servers, data):
    answer = scored(servers, {"id": "r-7", "inputs": [tensor(data)]})
    assert answer == {
        "model_name": "m",
        "model_version": "v1",
        "id": "r-7",
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [3, 1], "data": [2, 5, 6]}],
        "parameters": {"buckets": "[[16,3]]"},
    }


@pytest.mark.parametrize("missing", [b"null", b"NaN"])
def test_a_missing_number_is_null_or_nan_and_a_row_without_a_score_is_null(servers, missing):
    body = json.dumps({"inputs": [tensor([1, "?", 13])]}).encode().replace(b'"?"', missing)
    answer = scored(servers, body)
    assert answer["outputs"][0]["data"] == [2, None, None]
    assert json.loads(answer["parameters"]["failed_rows"]) == {"1": "model gave NaN", "2": "ValueError: thirteen"}


def test_the_version_and_the_shape_that_are_asked_for(servers):
    tree = {"inputs": [tensor([1])], "parameters": {"bucket": 64}}
    answer = scored(servers, tree, path="/v2/models/m/versions/v2/infer")
    assert (answer["model_version"], answer["parameters"]["buckets"]) == ("v2", "[[64,1]]")


def test_bytes_in_and_out(servers):
    matrix = np.array([[1.5], [np.nan], [3]], "<f4")
    given = {"name": "matrix", "datatype": "FP32", "shape": [3, 1], "parameters": {"binary_data_size": 12}}
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    status, answer = post(servers, head + matrix.tobytes(), headers={"Inference-Header-Content-Length": str(len(head))})
    assert status == 200
    length = int(answer.headers["Inference-Header-Content-Length"])
    output = json.loads(answer.data[:length])["outputs"][0]
    assert output["parameters"] == {"binary_data_size": 12} and output["shape"] == [3, 1]
    scores = np.frombuffer(answer.data[length:], "<f4")
    assert scores[[0, 2]].tolist() == [3, 6] and np.isnan(scores[1])


def test_a_large_body_is_read(servers):
    data = [float(n + 100) for n in range(8_000)]
    answer = scored(servers, {"inputs": [tensor(data)]})
    assert answer["outputs"][0]["data"] == [2 * value for value in data]


WRONG = {
    "no JSON": (b"{", "the body is no request"),
    "no text": (b"\xff\xfe", "the body is no request"),
    "deep": (b"[" * 100_000, "the body is no request"),
    "deep with NaN": (b"[" * 100_000 + b"NaN", "the body is no request"),
    "no inputs": ({}, "missing required field `inputs`"),
    "no tensor": ({"inputs": []}, "0 input tensors came (none); send one, 'matrix'"),
    "text for numbers": ({"inputs": [tensor(["a"])]}, "'matrix': Expected `float | null`, got `str`"),
    "ragged": ({"inputs": [tensor([[1], [2, 3]])]}, "has 3 values; its shape needs 2"),
    "mixed": ({"inputs": [tensor([[1], 2])]}, "'matrix': Expected `array`, got `int`"),
    "no values": ({"inputs": [tensor(None)]}, "needs its values once"),
    "a negative size": ({"inputs": [tensor([1], shape=[-1, 1])]}, "of shape [-1, 1]"),
    "a size beyond numbers": ({"inputs": [tensor([1], shape=[2**70, 1])]}, "rows; send at most 8192"),
    "more bytes than came": (
        {"inputs": [tensor(None, parameters={"binary_data_size": 10**12})]},
        "binary_data_size is 1000000000000, and 0 bytes follow",
    ),
    "fewer than no bytes": (
        {"inputs": [tensor(None, parameters={"binary_data_size": -4})]},
        "binary_data_size is -4",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_request_is_refused_in_words(servers, wrong):
    tree, why = WRONG[wrong]
    status, answer = post(servers, tree)
    assert (status, answer.headers["content-type"]) == (400, "application/json")
    assert why in json.loads(answer.data)["error"]


@pytest.mark.parametrize("length", ["-1", "abc", "9" * 30, "99999", "²"])
def test_a_length_of_the_json_that_is_none_is_refused(servers, length):
    headers = {"Inference-Header-Content-Length": length.encode("utf-8").decode("latin-1")}
    status, answer = post(servers, {"inputs": [tensor([1])]}, headers=headers)
    assert status == 400 and "is no length within the body" in json.loads(answer.data)["error"]


def test_bytes_that_belong_to_no_tensor_are_refused(servers):
    head = json.dumps({"inputs": [tensor([1])]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, answer = post(servers, head + b"abcd", headers=headers)
    assert status == 400 and "4 bytes belong to no tensor" in json.loads(answer.data)["error"]


def test_a_body_that_is_too_large_is_refused(servers):
    status, _ = post(servers, bytes(BODY_BYTES_MAX + 1))
    assert status == 413


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/livez", 200, "ok\n"),
        ("/readyz", 200, "ok\n"),
        ("/v2/health/live", 200, "ok\n"),
        ("/v2/health/ready", 200, "ok\n"),
        ("/v2/models/m/ready", 200, '{"name":"m","ready":true}'),
        ("/v2/models/m/versions/v9/ready", 503, '{"name":"m","ready":false}'),
        ("/v2/models/other", 404, """{"error":"'other' is not served here; m v1, m v2, wide v1 is"}"""),
        ("/elsewhere", 404, '{"error":"Not Found"}'),
        (INFER, 405, '{"error":"Method Not Allowed"}'),
    ],
)
def test_what_is_asked_for(servers, path, status, said):
    answer = servers.http("GET", path)
    assert (answer.status, answer.data.decode()) == (status, said)


def test_metadata_names_the_columns_and_shapes(servers):
    known = json.loads(servers.http("GET", "/v2/models/wide").data)
    assert known["inputs"] == [{"name": "matrix", "datatype": "FP32", "shape": [-1, 3]}]
    assert known["parameters"]["buckets"] == [16, 64] and known["versions"] == ["v1"]
    assert [feature["name"] for feature in known["parameters"]["features"]] == ["x", "city", "vip"]
    assert json.loads(servers.http("GET", "/v2").data)["name"] == "driftline"


def test_the_host_must_be_this_machines_while_it_listens_on_loopback(servers):
    answer = servers.http("GET", "/v2/models/m", headers={"Host": "evil.example"})
    assert answer.status == 400 and b"Host header is not of this machine" in answer.data
    assert servers.http("GET", "/v2/models/m", headers={"Host": "localhost:1"}).status == 200


def test_metrics_are_counted_by_version_and_reason(servers):
    def value(name, **labels):
        return REGISTRY.get_sample_value(f"driftline_{name}", labels) or 0

    refused = {"model": "m", "version": "v1", "reason": "invalid"}
    before = value("batch_rows_total", model="m", version="v1"), value("requests_refused_total", **refused)
    scored(servers, {"inputs": [tensor([1, 2, 3])]})
    post(servers, {"inputs": []})
    after = value("batch_rows_total", model="m", version="v1"), value("requests_refused_total", **refused)
    assert (after[0] - before[0], after[1] - before[1]) == (3, 1)
    text = servers.http("GET", "/metrics").data.decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"driftline_batches", "driftline_batch_padding_rows", "driftline_batch_seconds"} <= names


def test_a_caller_that_hangs_up_is_not_computed_for(servers):
    model = servers.models["m", "v1"]
    model.forget()
    model.hold()
    held = servers.versions.find("m").submit(np.ones((1, 1), np.float32))
    assert model.inside.acquire(timeout=DEADLINE_S)
    body = json.dumps({"inputs": [tensor([2])]}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", servers.http_port)) as caller:
        caller.sendall(head + body)
        _until(lambda: servers.versions.find("m")._waiting)
        request = servers.versions.find("m")._waiting[0]
    _until(request.future.cancelled)
    model.gate.set()
    held.result(DEADLINE_S)
    scored(servers, {"inputs": [tensor([3])]})
    assert [seen[0] for seen in model.seen] == [1, 3]


def _until(true):
    until = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_port_that_is_taken_is_refused_in_words(servers):
    for taken, option in ((Listening("127.0.0.1", servers.grpc_port, 0), "--grpc-port"),
                          (Listening("127.0.0.1", 0, servers.http_port), "--http-port")):  # fmt: skip
        with pytest.raises(NotListening, match=f"cannot listen on 127.0.0.1:[0-9]+.*set {option}"):
            Servers(taken)


def test_a_body_that_does_not_come_is_the_clients_fault(servers, monkeypatch):
    monkeypatch.setattr(http_server, "_BODY_S_MAX", 0.05)
    with socket.create_connection(("127.0.0.1", servers.http_port), DEADLINE_S) as half:
        half.sendall(f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert b" 400 " in half.recv(4096).split(b"\r\n")[0]


def test_a_host_that_is_no_address_is_not_of_this_machine(servers):
    answer = servers.http("GET", "/v2/models/m", headers={"Host": "[::1"})
    assert answer.status == 400 and b"Host header is not of this machine" in answer.data
