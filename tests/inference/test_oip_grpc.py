"""The Open Inference Protocol over gRPC, asked by tritonclient, which is somebody else's reading of it."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from doubling import DEADLINE_S
from oip_servers import Servers
from prometheus_client import REGISTRY
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from inference import Fatal, Unavailable
from inference.oip.listening import BODY_BYTES_MAX


@pytest.fixture(scope="module")
def servers():
    servers = Servers()
    servers.load()
    yield servers
    servers.stop()


@pytest.fixture
def client(servers):
    with servers.client() as client:
        yield client


@pytest.fixture
def model(servers):
    """The model behind m v1."""
    model = servers.models["m", "v1"]
    model.forget()
    yield model
    model.error = None
    model.gate.set()


def column(*values):
    return np.array(values, np.float32)[:, None]


def matrix_input(matrix, name="matrix", datatype="FP32"):
    given = triton.InferInput(name, matrix.shape, datatype)
    given.set_data_from_numpy(matrix)
    return given


def ask(client, matrix, model="m", **more):
    return client.infer(model, [matrix_input(matrix)], **more)


def parameters(result):
    return {name: json.loads(value.string_param) for name, value in result.get_response().parameters.items()}


def test_a_batch_is_scored(client):
    result = ask(client, column(1, 2, 3), request_id="r-7")
    assert result.as_numpy("scores").tolist() == [[2], [4], [6]]
    assert result.as_numpy("scores").dtype == np.float32
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("m", "v1", "r-7")
    assert parameters(result) == {"buckets": [[16, 3]]}


def test_the_version_that_is_named_answers_and_else_the_first(servers, client):
    for version, answers in (("", "v1"), ("v1", "v1"), ("v2", "v2")):
        servers.models["m", answers].forget()
        assert ask(client, column(5), model_version=version).get_response().model_version == answers
        assert len(servers.models["m", answers].seen) == 1


def test_rows_at_fault_are_named_and_the_others_scored(client):
    result = ask(client, column(1, 13, np.nan, 4))
    scores = result.as_numpy("scores")[:, 0]
    assert scores[[0, 3]].tolist() == [2, 8] and np.isnan(scores[[1, 2]]).all()
    failed = parameters(result)["failed_rows"]
    assert failed == {"1": "ValueError: thirteen", "2": "model gave NaN"}


def test_a_shape_may_be_asked_for(client):
    result = ask(client, column(1, 2), parameters={"bucket": 64})
    assert parameters(result)["buckets"] == [[64, 2]]
    with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*32 is no shape of m v1; \(16, 64\) are"):
        ask(client, column(1), parameters={"bucket": 32})
    with pytest.raises(InferenceServerException, match="'bucket' is no whole number"):
        ask(client, column(1), parameters={"bucket": "large"})


def test_many_rows_are_cut_into_shapes(client):
    matrix = np.arange(150, dtype=np.float32)[:, None] + 100
    result = ask(client, matrix)
    assert np.array_equal(result.as_numpy("scores"), 2 * matrix)
    assert parameters(result)["buckets"] == [[64, 150]]  # 64, 64, and 22 padded up to 64


def test_clients_at_once_get_their_rows(servers):
    def one(n):
        with servers.client() as client:
            return [ask(client, column(*range(100 * n, 100 * n + k + 1))).as_numpy("scores")[:, 0].tolist()
                    for k in range(20)]  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, range(1, 5)))
    for n, scores in enumerate(answers, 1):
        assert scores == [[2.0 * (100 * n + j) for j in range(k + 1)] for k in range(20)]


def test_what_waits_is_joined_over_connections(servers, model):
    model.hold()
    with servers.client() as first, servers.client() as second, ThreadPoolExecutor(3) as pool:
        held = pool.submit(ask, first, column(1))
        assert model.inside.acquire(timeout=DEADLINE_S)
        waiting = [pool.submit(ask, client, column(value)) for client, value in ((first, 2), (second, 3))]
        until = time.monotonic() + DEADLINE_S
        while servers.versions.find("m", "v1")._rows < 2:
            assert time.monotonic() < until
            time.sleep(0.005)
        model.gate.set()
        assert [call.result().as_numpy("scores").tolist() for call in (held, *waiting)] == [[[2]], [[4]], [[6]]]
    assert len(model.seen) == 2 and sorted(model.seen[1][:2].tolist()) == [2, 3]


def test_a_caller_whose_deadline_has_passed_is_not_computed_for(servers, client, model):
    before = REGISTRY.get_sample_value("driftline_requests_refused_total", gone := {
        "model": "m", "version": "v1", "reason": "gone"}) or 0  # fmt: skip
    model.hold()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, client, column(1))
        assert model.inside.acquire(timeout=DEADLINE_S)
        with pytest.raises(InferenceServerException, match="Deadline"):
            ask(client, column(2), client_timeout=0.1)
        until = time.monotonic() + DEADLINE_S
        while (REGISTRY.get_sample_value("driftline_requests_refused_total", gone) or 0) == before:
            assert time.monotonic() < until
            time.sleep(0.005)
        model.gate.set()
        held.result()
    ask(client, column(3))
    assert [seen[0] for seen in model.seen] == [1, 3]


def test_metadata_says_what_the_model_takes_and_its_shapes(client):
    metadata = client.get_model_metadata("wide", "v1", as_json=True)
    assert metadata["inputs"] == [{"name": "matrix", "datatype": "FP32", "shape": ["-1", "3"]}]
    assert metadata["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": ["-1", "1"]}]
    assert client.get_model_metadata("m").versions == ["v1", "v2"]
    config = client.get_model_config("wide").config
    assert config.max_batch_size == 64
    assert list(config.dynamic_batching.preferred_batch_size) == [16, 64]
    said = {name: json.loads(value.string_value) for name, value in config.parameters.items()}
    assert [feature["name"] for feature in said["features"]] == ["x", "city", "vip"]
    assert said["features"][1] == {"name": "city", "kind": "categorical", "categories": ["Rome", "Oslo"]}
    assert said["buckets"] == [16, 64] and said["task"] == "regression"
    server = client.get_server_metadata()
    assert server.name == "driftline" and server.version


def test_health_while_it_loads_and_after(servers):
    young = Servers()
    try:
        with young.client() as client:
            assert client.is_server_live() and not client.is_server_ready() and not client.is_model_ready("m")
            with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*m v1 is being loaded"):
                ask(client, column(1))
            young.load()
            assert client.is_server_ready() and client.is_model_ready("m") and client.is_model_ready("m", "v2")
            assert not client.is_model_ready("m", "v3") and not client.is_model_ready("other")
            young.wait(young.versions.close(5.0))
            assert client.is_server_live() and not client.is_server_ready()
            with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*m v1 takes no new rows"):
                ask(client, column(1))
    finally:
        young.stop()


def infer_message(**changes):
    tensor = {"name": "matrix", "datatype": "FP32", "shape": [1, 1], **changes.pop("tensor", {})}
    contents = changes.pop("contents", None)
    raw = changes.pop("raw", [np.float32(1).tobytes()] if contents is None else [])
    message = service_pb2.ModelInferRequest(**{"model_name": "m", **changes})
    given = message.inputs.add(**tensor)
    for name, values in (contents or {}).items():
        getattr(given.contents, name).extend(values)
    message.raw_input_contents.extend(raw)
    return message


@pytest.fixture(scope="module")
def stub(servers):
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{servers.grpc_port}", options) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def test_typed_contents_are_read(stub):
    answer = stub.ModelInfer(infer_message(tensor={"shape": [2, 1]}, contents={"fp32_contents": [1.5, 2.5]}))
    assert np.frombuffer(answer.raw_output_contents[0], "<f4").tolist() == [3, 5]


HOSTILE = {
    "another name": ({"tensor": {"name": "x"}}, "1 input tensors came .'x'.; send one, 'matrix'"),
    "another datatype": ({"tensor": {"datatype": "FP64"}}, "'matrix' is of datatype 'FP64'; send FP32 .rows, 1."),
    "text": ({"tensor": {"datatype": "BYTES"}, "contents": {"bytes_contents": [b"x" * 99]}}, "datatype 'BYTES'"),
    "a huge datatype": ({"tensor": {"datatype": "F" * 100_000}}, r"datatype 'F{100}\.\.\.'"),
    "a huge name": ({"tensor": {"name": "n" * 100_000}}, r"\('n{100}\.\.\.'\)"),
    "a huge model": ({"model_name": "m" * 100_000}, r"'m{100}\.\.\.' is not served here"),
    "a huge id": ({"id": "i" * 100_000}, "the id has 100000 characters; 256 are the most"),
    "no dimension": ({"tensor": {"shape": []}}, r"of shape \[\]; send FP32"),
    "three dimensions": ({"tensor": {"shape": [1, 1, 1]}}, r"of shape \[1, 1, 1\]"),
    "many dimensions": ({"tensor": {"shape": [1] * 10_000}}, r"of shape \[1, 1, 1, 1, 1, 1, 1, 1\]"),
    "a negative size": ({"tensor": {"shape": [-1, 1]}}, r"of shape \[-1, 1\]"),
    "two negative sizes": ({"tensor": {"shape": [-1, -1]}}, r"of shape \[-1, -1\]"),
    "no rows": ({"tensor": {"shape": [0, 1]}, "raw": [b""]}, r"of shape \[0, 1\]"),
    "too many columns": ({"tensor": {"shape": [1, 2]}}, r"of shape \[1, 2\]"),
    "rows beyond memory": ({"tensor": {"shape": [2**62, 1]}}, "rows; send at most 8192 in one request"),
    "too few bytes": ({"tensor": {"shape": [2, 1]}}, "'matrix' has 4 bytes; its shape needs 8"),
    "bytes that are no cells": ({"raw": [b"abc"]}, "'matrix' has 3 bytes; its shape needs 4"),
    "raw bytes of two": ({"raw": [b"abcd", b"abcd"]}, "1 input tensors came, and raw bytes of 2"),
    "too few values": ({"contents": {"fp32_contents": []}}, "needs its values once|has 0 values"),
    "values of another kind": ({"contents": {"int_contents": [1]}}, "has 0 values; its shape needs 1"),
    "values twice": ({"contents": {"fp32_contents": [1.0]}, "raw": [b"abcd"]}, "needs its values once"),
    "another output": (
        {"outputs": [service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="logits")]},
        "there is no output 'logits'; ask for 'scores'",
    ),
    "a line and a terminal": ({"tensor": {"datatype": "\n\x1b[2J"}}, r"datatype '\\n\\x1b\[2J'"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_no_request_is_refused_in_words(stub, hostile):
    changes, why = HOSTILE[hostile]
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(infer_message(**changes), timeout=DEADLINE_S)
    wanted = "NOT_FOUND" if hostile == "a huge model" else "INVALID_ARGUMENT"
    assert refused.value.code().name == wanted
    assert re.search(why, refused.value.details()), refused.value.details()
    assert len(refused.value.details()) <= 1_000


@pytest.mark.parametrize(("row", "wanted"), [
    ([1, 3, 1], None), ([1, 3, np.nan], None), ([np.nan, 0, 0], None),
    ([1, 4, 0], "has 4 in row 1 for 'city'; it must be a level's code, 0 to 3"),
    ([1, -1, 0], "has -1 in row 1 for 'city'"),
    ([1, 0.5, 0], "has 0.5 in row 1 for 'city'"),
    ([1, np.nan, 0], "has nan in row 1 for 'city'"),
    ([1, 1e30, 0], r"has 1e\+30 in row 1 for 'city'"),
    ([1, 0, 2], "has 2 in row 1 for 'vip'; it must be 0, 1, or NaN"),
    ([1, 0, np.inf], "has inf in row 1 for 'vip'"),
])  # fmt: skip
def test_a_code_that_is_none_never_meets_the_model(client, row, wanted):
    matrix = np.array([[1, 0, 0], row], np.float32)
    if wanted is None:
        assert ask(client, matrix, "wide").as_numpy("scores").shape == (2, 1)
    else:
        with pytest.raises(InferenceServerException, match=f"INVALID_ARGUMENT.*{wanted}"):
            ask(client, matrix, "wide")


def test_a_message_that_is_too_large_is_refused(stub):
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(infer_message(raw=[bytes(BODY_BYTES_MAX + 1)]))
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("call", ["load_model", "unload_model"])
def test_clients_load_and_unload_nothing(client, call):
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        getattr(client, call)("m")


def test_an_unknown_version_is_not_found(client):
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*'m v9' is not served here; m v1, m v2, wide v1 is"):
        ask(client, column(1), model_version="v9")


def test_a_full_queue_is_unavailable(servers, client, model):
    model.hold()
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(ask, client, column(1))
        assert model.inside.acquire(timeout=DEADLINE_S)
        filling = servers.versions.find("m").submit(np.zeros((8_192, 1), np.float32))
        with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*m v1: 8192 rows wait, 8192 may, 1 more came"):
            ask(client, column(1))
        filling.cancel()
        model.gate.set()
        held.result()


def test_what_is_away_is_unavailable_and_nobody_is_blamed(client, model):
    model.error = Unavailable("its server hangs")
    with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*its server hangs"):
        ask(client, column(1))
    model.error = ValueError("always")
    with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*m v1 fails, and now on blank rows too"):
        ask(client, column(1))


def test_a_lost_device_is_told_to_whoever_runs_it():
    servers = Servers()
    try:
        servers.load()
        servers.models["m", "v1"].error = Fatal("the device is lost")
        with servers.client() as client, pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*device is lost"):
            ask(client, column(1))
        until = time.monotonic() + DEADLINE_S
        while not servers.errors:
            assert time.monotonic() < until
            time.sleep(0.005)
        assert servers.errors == [servers.models["m", "v1"].error]
    finally:
        servers.stop()
