"""Every protocol keeps rows, their order and their values, whatever a server makes of the layout."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tests.inference import remote_servers as servers

_GRPC = 'protocol = "oip-v2-grpc"\naddresses = ["{}"]\n[[inputs]]\nname = "x"\n'
_OIP = 'protocol = "oip-v2-http"\naddresses = ["{}"]\n[[inputs]]\nname = "x"\n'
_HTTP = """
protocol = "http"
addresses = ["{}/base"]
[http]
path = "/score"
rows = "$.data.rows"
body = {{ model = "churn", data = {{ trace = true }} }}
scores = ["$.rows[*].p.value"]
"""
_COLUMNS = "".join(
    f'[[inputs]]\nname = "{name}"\ncolumns = ["{column}"]\n{flat}\n'
    for name, column, flat in (("c", "vip", ""), ("a", "x", 'dtype = "FP64"'), ("b", "city", "flat = true"))
)
#: Name -> server, what it answers with, remote.toml.
PROTOCOLS = {
    "grpc": (servers.grpc_server, servers.oip_grpc, _GRPC),
    "grpc, not raw": (servers.grpc_server, servers.oip_grpc_contents, _GRPC),
    "oip": (servers.http_server, servers.oip_json, _OIP),
    "oip, binary": (servers.http_server, servers.oip_binary, "binary = true\n" + _OIP + '[[outputs]]\nname = "p"\n'),
    "tf": (servers.http_server, servers.tf_rows, 'protocol = "tf-serving"\naddresses = ["{}"]\n'),
    "tf, columns": (
        servers.http_server,
        servers.tf_columns,
        'protocol = "tf-serving"\naddresses = ["{}"]\n' + _COLUMNS + '[[outputs]]\nname = "p"\n',
    ),
    "http": (servers.http_server, servers.plain, _HTTP),
}
_ROW = st.tuples(
    st.floats(-1e6, 1e6, width=32) | st.just(float("nan")), st.integers(0, 3), st.sampled_from([0.0, 1.0, float("nan")])
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rows_their_order_and_their_values_are_kept(protocol, tmp_path):
    serve, answer, text = PROTOCOLS[protocol]
    with serve(answer) as address:
        _, backend = servers.remote(tmp_path, text.format(address))

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(_ROW, min_size=1, max_size=40))
        def kept(rows):
            matrix = np.array(rows, np.float32)
            scores = backend.score(matrix)
            assert scores.dtype == np.float32
            np.testing.assert_array_equal(scores[:, 0], servers.score_of(matrix))

        kept()
        assert backend.health() == ""


def test_text_missing_values_and_whole_numbers_travel_as_the_file_says(tmp_path):
    got = []

    def answer(path, headers, body):
        got.append((path, json.loads(body)))
        return (
            200,
            {},
            json.dumps({"outputs": [{"name": "p", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]}]}).encode(),
        )

    text = """
protocol = "oip-v2-http"
addresses = ["{}"]
model = "my churn"
version = "7"
missing = -1
[[inputs]]
name = "age"
columns = ["x"]
dtype = "INT64"
flat = true
[[inputs]]
name = "city"
columns = ["city"]
dtype = "BYTES"
"""
    with servers.http_server(answer) as address:
        _, backend = servers.remote(tmp_path, text.format(address))
        matrix = np.array([[3, 0, 0], [np.nan, 1, 0], [5, 3, 0]], np.float32)
        assert backend.score(matrix)[:, 0].tolist() == [1, 2, 3]
    assert got == [(
        "/v2/models/my%20churn/versions/7/infer",
        {"inputs": [
            {"name": "age", "datatype": "INT64", "shape": [3], "data": [3, -1, 5]},
            {"name": "city", "datatype": "BYTES", "shape": [3, 1], "data": ["Rome", "Oslo", ""]},
        ]},
    )]  # fmt: skip


def test_the_columns_of_several_outputs_are_the_scores(tmp_path):
    def answer(request, context):
        response = service_pb2.ModelInferResponse()
        for name, values in (("label", [1, 0]), ("p", [0.25, 0.75, 0.5, 0.5])):
            dtype = "<i8" if name == "label" else "<f8"
            response.outputs.add(
                name=name, datatype="INT64" if name == "label" else "FP64", shape=[2, len(values) // 2]
            )
            response.raw_output_contents.append(np.array(values, dtype).tobytes())
        return response

    text = _GRPC + '[[outputs]]\nname = "p"\ncolumns = [1]\n'
    with servers.grpc_server(answer) as address:
        _, backend = servers.remote(tmp_path, text.format(address))
        assert backend.score(np.zeros((2, 3), np.float32)).tolist() == [[0.75], [0.5]]


def test_secrets_travel_as_headers_and_are_opened_for_each_call(tmp_path, monkeypatch):
    got = []

    def http(path, headers, body):
        got.append(headers["authorization"])
        return servers.oip_json(path, headers, body)

    def rpc(request, context):
        got.append(dict(context.invocation_metadata())["authorization"])
        return servers.oip_grpc(request, context)

    for serve, answer, text in ((servers.http_server, http, _OIP), (servers.grpc_server, rpc, _GRPC)):
        with serve(answer) as address:
            text = text.format(address) + '[headers]\nauthorization = "Bearer env:CHURN_KEY"\n'
            _, backend = servers.remote(tmp_path, text)
            for key in ("one", "two"):
                monkeypatch.setenv("CHURN_KEY", key)
                backend.score(np.zeros((1, 3), np.float32))
    assert got == ["Bearer one", "Bearer two"] * 2
