"""What goes wrong with a remote, of which kind it is, and what it costs."""

import json
import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2
from urllib3.exceptions import ProtocolError

from inference import OutOfMemory, Scorer, Unavailable
from inference.backends.remote import http_client
from inference.backends.remote.failures import Away, InputRefused
from inference.backends.remote.retry_budget import SHARE
from tests.inference import remote_servers as servers

_BATCH = np.zeros((4, 3), np.float32)
_OIP = 'protocol = "oip-v2-http"\naddresses = {}\ndeadline_ms = 250\nanswer_bytes_max = 2048\n[[inputs]]\nname = "x"\n'
_GRPC = _OIP.replace("oip-v2-http", "oip-v2-grpc")


class Clock:
    """Time that the test says."""

    def __init__(self):
        self.now_ms = 0.0

    def __call__(self):
        return self.now_ms


def says(status, body, headers=None):
    return lambda path, sent, given: (status, headers or {}, body)


def output(**changed):
    entry = {"name": "p", "datatype": "FP32", "shape": [4], "data": [1, 2, 3, 4]} | changed
    return says(200, json.dumps({"outputs": [entry]}).encode())


AWAY = {
    "late": (lambda *_: servers.late, "has not answered within 2"),
    "half": (lambda *_: servers.half, "breaks off: .*87 more expected|breaks off: .*IncompleteRead"),
    "headers a byte at a time": (lambda *_: servers.drip_headers, "breaks off|has not answered"),
    "a body a byte at a time": (lambda *_: servers.drip_body, "has not answered within 2"),
    "busy": (says(503, b"model is being loaded"), "answers 503: model is being loaded"),
    "ill": (says(500, b'{"error": "boom"}'), "answers 500: .*boom"),
    "not there": (says(404, b""), "answers 404$"),
    "another key": (says(401, b"no\r\n\x1b[31msuch key"), r"answers 401: no \S*such key"),
    "elsewhere": (says(302, b"", {"Location": "http://127.0.0.1:1/"}), "answers 302"),
    "no JSON": (says(200, b"<html>"), "is no JSON"),
    "deep JSON": (says(200, b"[" * 2000), "is no JSON"),
    "other JSON": (says(200, b'{"predictions": [1]}'), "none of the Open Inference Protocol"),
    "fewer rows": (output(shape=[3], data=[1, 2, 3]), r"'p' of shape \[3\] to a batch of 4 rows"),
    "more values than the shape": (output(shape=[4, 2]), r"shape \[4, 2\] and 4 values"),
    "a shape that is none": (output(shape=[-2, -2]), r"shape \[-2, -2\]"),
    "text": (output(datatype="BYTES", data=["a", "b", "c", "d"]), "dtype BYTES; a score is a number"),
    "text among numbers": (output(data=[1, 2, 3, "x"]), "holds what is no number"),
    "ragged": (output(shape=[2, 2], data=[[1, 2], [3]]), "different lengths"),
    "oversize": (says(200, b" " * 3000), "more than 2,048 bytes"),
    "oversize, in chunks": (lambda *_: servers.endless, "more than 2,048 bytes"),
    "packed": (says(200, b"x", {"Content-Encoding": "gzip"}), "packed by 'gzip'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", AWAY)
def test_no_row_is_to_blame_for_a_server_that_is_ill(kind, tmp_path):
    answer, why = AWAY[kind]
    with servers.http_server(answer) as address:
        _, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])))
        with pytest.raises(Unavailable, match=why) as caught:
            backend.score(_BATCH)
    assert not isinstance(caught.value, OutOfMemory) and str(caught.value).startswith(f"churn v2: {address} ")


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InputRefused), (422, InputRefused), (413, OutOfMemory), (418, Unavailable)]
)
def test_a_status_says_whose_fault_it_is(status, kind, tmp_path):
    with servers.http_server(says(status, b"x[3] is out of range")) as address:
        _, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])))
        with pytest.raises(kind, match=rf"{address} answers {status}: x\[3\] is out of range"):
            backend.score(_BATCH)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "x", InputRefused),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max", OutOfMemory),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", Unavailable),
        (grpc.StatusCode.INTERNAL, "x", Unavailable),
        (grpc.StatusCode.UNAVAILABLE, "x", Unavailable),
        (grpc.StatusCode.NOT_FOUND, "x", Unavailable),
    ],
)
def test_a_code_says_whose_fault_it_is(code, text, kind, tmp_path):
    with servers.grpc_server(lambda request, context: context.abort(code, text)) as address:
        _, backend = servers.remote(tmp_path, _GRPC.format(json.dumps([address])))
        with pytest.raises(kind, match=f"answers {code.name}: {text}"):
            backend.score(_BATCH)


def of_grpc(dtype="FP32", shape=(4,), raw=b"\0" * 16, name="p", times=1):
    response = service_pb2.ModelInferResponse()
    response.outputs.add(name=name, datatype=dtype, shape=shape)
    response.raw_output_contents.extend([raw] * times)
    return lambda request, context: response


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (of_grpc(shape=(3,), raw=b"\0" * 12), r"shape \[3\] to a batch of 4 rows"),
        (of_grpc(raw=b"\0" * 15), "15 bytes, which are no FP32"),
        (of_grpc(dtype="BYTES"), "dtype BYTES"),
        (of_grpc(dtype="BF16"), "dtype BF16"),
        (of_grpc(times=2), "1 tensors and the bytes of 2"),
        (of_grpc(raw=b"\0" * 4096, shape=(1024,)), "answers with more than it may"),
        (lambda request, context: service_pb2.ModelInferResponse(), "answers with the tensors none"),
    ],
)
def test_an_answer_of_another_shape_or_dtype_blames_no_row(answer, why, tmp_path):
    with servers.grpc_server(answer) as address:
        _, backend = servers.remote(tmp_path, _GRPC.format(json.dumps([address])))
        with pytest.raises(Unavailable, match=why):
            backend.score(_BATCH)


def test_a_server_that_hangs_is_left_at_the_deadline(tmp_path):
    ends = threading.Event()

    def hangs(request, context):
        ends.wait(5)
        return servers.oip_grpc(request, context)

    with servers.grpc_server(hangs) as address:
        _, backend = servers.remote(tmp_path, _GRPC.format(json.dumps([address])))
        with pytest.raises(Unavailable, match="DEADLINE_EXCEEDED"):
            backend.score(_BATCH)
        ends.set()


def test_a_dead_remote_costs_three_calls_then_one_a_pause_and_is_back_by_itself(tmp_path):
    clock, calls, ill = Clock(), [], [True]

    def answer(path, headers, body):
        calls.append(clock.now_ms)
        return (503, {}, b"") if ill[0] else servers.oip_json(path, headers, body)

    with servers.http_server(answer) as address:
        _, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])), ticks=clock)
        for now_ms in range(0, 4_000, 100):
            clock.now_ms = now_ms
            with pytest.raises(Unavailable, match="503"):
                backend.score(_BATCH)
        # Closed until the third failure; then after 500 ms, 1,000 ms later, 2,000 ms later.
        assert calls == [0, 100, 200, 700, 1_700, 3_700]
        assert backend.health() == f"churn v2 waits for {address} answers 503"
        ill[0] = False
        clock.now_ms = 7_700
        assert backend.health() == ""  # half-open: it may well be back
        np.testing.assert_array_equal(backend.score(_BATCH)[:, 0], servers.score_of(_BATCH))
        assert backend.score(_BATCH).shape == (4, 1)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_server_that_ends_and_is_started_again_on_its_port_is_found_again(protocol, tmp_path):
    serve, answer, text = {
        "http": (servers.http_server, servers.oip_json, _OIP),
        "grpc": (servers.grpc_server, servers.oip_grpc, _GRPC),
    }[protocol]
    with serve(answer) as address:
        _, backend = servers.remote(tmp_path, text.format(json.dumps([address])))
        expected = backend.score(_BATCH)
    with pytest.raises(Unavailable):
        backend.score(_BATCH)
    deadline, port = threading.Event(), int(address.rpartition(":")[2])
    with serve(answer, port):
        for _ in range(100):  # gRPC connects again after a pause of its own
            try:
                np.testing.assert_array_equal(backend.score(_BATCH), expected)
                return
            except Unavailable:
                deadline.wait(0.05)
    pytest.fail("not found again within 5 s")


def test_addresses_share_the_calls_and_what_fails_goes_to_another_within_the_budget(tmp_path):
    clock, calls = Clock(), {"a": 0, "b": 0}
    ill = [False]

    def server(name):
        def answer(path, headers, body):
            calls[name] += 1
            return (503, {}, b"") if ill[0] and name == "a" else servers.oip_json(path, headers, body)

        return answer

    with servers.http_server(server("a")) as a, servers.http_server(server("b")) as b:
        _, backend = servers.remote(tmp_path, _OIP.format(json.dumps([a, b])), ticks=clock)
        for _ in range(40):
            backend.score(_BATCH)
        assert calls == {"a": 20, "b": 20}
        ill[0] = True
        for _ in range(40):
            backend.score(_BATCH)  # three fail at a, are made again at b, and a is left alone
        assert calls == {"a": 23, "b": 60}


def test_retries_are_a_tenth_of_the_calls_at_the_most(tmp_path):
    clock, calls, batches = Clock(), [0], 100

    def answer(path, headers, body):
        calls[0] += 1
        return (503, {}, b"") if calls[0] % 2 else servers.oip_json(path, headers, body)

    with servers.http_server(answer) as address:
        _, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])), ticks=clock)
        failed = 0
        for _ in range(batches):
            clock.now_ms += 60_000
            try:
                backend.score(_BATCH)
            except Unavailable:
                failed += 1
    assert failed and calls[0] - batches == round(batches * SHARE)


def test_a_connection_that_the_server_has_closed_meanwhile_costs_nothing(tmp_path):
    """As uvicorn does after an answer of 500: it promises to keep the connection, and closes it."""
    calls = [0]

    def answer(path, headers, body):
        calls[0] += 1
        status, _, data = servers.oip_json(path, headers, body)

        def then_closes(wfile):
            wfile.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (status, len(data)) + data)

        return then_closes

    with servers.http_server(answer) as address:
        _, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])))
        for _ in range(30):
            np.testing.assert_array_equal(backend.score(_BATCH)[:, 0], servers.score_of(_BATCH))
    assert calls == [30]


def test_a_row_that_the_server_refuses_is_found_and_its_neighbours_are_scored(tmp_path):
    def answer(path, headers, body):
        [tensor] = json.loads(body)["inputs"]
        matrix = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
        if (matrix[:, 0] == 13).any():
            return 422, {}, b"x is 13"
        return servers.oip_json(path, headers, body)

    with servers.http_server(answer) as address:
        package, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])))
        scores = Scorer(package, backend, sleep=lambda s: None)(np.array([[n, 0, 0] for n in range(20)], np.float32))
    assert list(scores.failures) == [13] and "answers 422: x is 13" in scores.failures[13].why
    assert np.delete(scores.values[:, 0], 13).tolist() == [2.0 * n for n in range(20) if n != 13]


def test_a_remote_that_dies_within_a_batch_has_no_row_blamed_and_is_not_asked_for_halves(tmp_path):
    calls = [0]

    def answer(path, headers, body):
        calls[0] += 1
        return servers.oip_json(path, headers, body) if calls[0] == 1 else (500, {}, b"")

    with servers.http_server(answer) as address:
        package, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])))
        scorer = Scorer(package, backend, sleep=lambda s: None)
        with pytest.raises(Unavailable, match="answers 500"):
            scorer(np.ones((16, 3), np.float32))
    assert calls[0] == 2  # one for the blank batch, one for this


def test_a_score_that_is_nan_is_the_fault_of_its_row(tmp_path):
    with servers.http_server(servers.oip_json) as address:
        package, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])))
        scores = Scorer(package, backend)(np.array([[1, 0, 0], [np.nan, 0, 0]], np.float32))
    assert {n: failure.why for n, failure in scores.failures.items()} == {1: "model gave NaN"}


def test_a_secret_that_cannot_be_read_or_comes_back_in_an_answer_stands_in_no_error(tmp_path, monkeypatch):
    text = _OIP + '[headers]\nx-api-key = "env:CHURN_KEY"\n'
    with servers.http_server(lambda path, headers, body: (401, {}, headers["x-api-key"].encode())) as address:
        _, backend = servers.remote(tmp_path, text.format(json.dumps([address])))
        monkeypatch.delenv("CHURN_KEY", raising=False)
        with pytest.raises(Unavailable, match=r"headers.x-api-key: secret env:CHURN_KEY: .* not set"):
            backend.score(_BATCH)
        monkeypatch.setenv("CHURN_KEY", "hunter2\r\nx-admin: yes")
        with pytest.raises(Unavailable, match="holds what no header can") as caught:
            backend.score(_BATCH)
        assert "hunter2" not in str(caught.value)
        monkeypatch.setenv("CHURN_KEY", "hunter2")
        with pytest.raises(Unavailable, match=r"answers 401: \*\*\*"):
            backend.score(_BATCH)


def test_a_changed_secret_that_a_long_answer_repeats_is_hidden_whole(tmp_path, monkeypatch):
    secret = "".join(f"<{n:02}>" for n in range(20))

    def repeats(path, headers, body):
        monkeypatch.setenv("CHURN_KEY", "another")
        return 401, {}, b"x" * 60 + headers["x-api-key"].encode() + b"y" * 300

    with servers.http_server(repeats) as address:
        text = _OIP + '[headers]\nx-api-key = "env:CHURN_KEY"\n'
        _, backend = servers.remote(tmp_path, text.format(json.dumps([address])))
        monkeypatch.setenv("CHURN_KEY", secret)
        with pytest.raises(Unavailable, match=r"answers 401: x{60}\*\*\*y+") as caught:
            backend.score(_BATCH)
    assert not [part for part in range(20) if f"<{part:02}>" in str(caught.value)]


def test_a_call_is_made_again_once_where_there_is_one_address(tmp_path):
    calls, ill = [0], [False]

    def answer(path, headers, body):
        calls[0] += 1
        return (503, {}, b"") if ill[0] else servers.oip_json(path, headers, body)

    with servers.http_server(answer) as address:
        _, backend = servers.remote(tmp_path, _OIP.format(json.dumps([address])), ticks=Clock())
        for _ in range(40):  # four calls may be made again
            backend.score(_BATCH)
        calls[0], ill[0] = 0, True
        with pytest.raises(Unavailable, match="answers 503"):
            backend.score(_BATCH)
    assert calls == [2]


def test_a_connection_that_the_deadline_has_closed_is_not_asked_again(monkeypatch):
    calls, client = [0], http_client.HttpClient("http://127.0.0.1:1")

    def closed_late(*call):
        calls[0] += 1
        raise ProtocolError("aborted", http_client._Stale("closed"))

    monkeypatch.setattr(client, "_once", closed_late)
    with pytest.raises(Away, match="has not answered within 0 ms") as caught:
        client.post("/", b"", {}, 0.0)
    assert calls == [1] and caught.value.late
