"""What a `remote.toml` may say, and that it is code's equal: it sends rows and secrets to whom it names."""

import numpy as np
import pytest

from inference import ArtefactError, Limits, ModelPackage, Unavailable, UntrustedCodeError
from inference.backends import inspect_artefact, load_artefact
from inference.backends.remote.reading import read_remote
from streams.wire.schema import Feature
from tests.inference import remote_servers as servers

_GRPC = 'protocol = "oip-v2-grpc"\naddresses = ["grpc://a:8001"]\n'
_INPUT = '[[inputs]]\nname = "x"\n'
_HTTP = 'protocol = "http"\naddresses = ["http://a"]\n'

REFUSED = {
    "": "required field `protocol`",
    'protocol = "oip-v2-grcp"\naddresses = ["grpc://a:1"]': "did you mean oip-v2-grpc?",
    _GRPC + "dead_line_ms = 5\n" + _INPUT: r"unknown key dead_line_ms; did you mean deadline_ms\?",
    _GRPC + '[[inputs]]\nnam = "x"\n': r"unknown key inputs\[0\].nam; did you mean name\?",
    _HTTP + '[http]\nscore = ["$.a"]\n': r"unknown key http.score; did you mean scores\?",
    _GRPC + "deadline_ms = 0\n" + _INPUT: "deadline_ms: Expected `int` >= 1",
    _GRPC: "takes tensors by name",
    _GRPC.replace("grpc://a:8001", "grpc://a") + _INPUT: r"addresses\[0\] 'grpc://a': write grpc://host:port",
    _GRPC.replace("grpc://a:8001", "http://a:8001") + _INPUT: r"write grpc://host:port or grpcs://host:port",
    _HTTP.replace("http://a", "http://me:pw@a") + "[http]\n": "a user, a password or a query stands in it",
    _HTTP: r"a table \[http\] says how",
    _GRPC + _INPUT + "[http]\n": "belongs to it alone",
    "binary = true\n" + _GRPC + _INPUT: "binary: it belongs to",
    _GRPC + _INPUT + '[headers]\nauthorization = "Bearer abc"\n': "headers.authorization: a secret stands in the open",
    _GRPC + _INPUT + '[headers]\nx-api-key = "abc"\n': "headers.x-api-key: a secret stands in the open",
    _GRPC + _INPUT + '[headers]\nHost = "b"\n': "headers.Host: a header's name is lower case",
    _GRPC + _INPUT + '[headers]\nhost = "b"\n': "headers.host: the client writes this header itself",
    "protocol = ": "Invalid value",
    "#" * 300_000: "larger than 262,144 bytes",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: str(len(text)))
def test_what_it_cannot_say_is_refused_with_the_remedy(text, tmp_path):
    (tmp_path / "remote.toml").write_text(text)
    with pytest.raises(ArtefactError, match=REFUSED[text]) as caught:
        read_remote(tmp_path / "remote.toml")
    assert str(caught.value).startswith(f"{tmp_path}/remote.toml: ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            _GRPC + '[[inputs]]\nname = "x"\ncolumns = ["cty"]\n',
            r"inputs\[0\].columns: 'cty' is no input; did you mean",
        ),
        ("deadline_ms = 30001\n" + _GRPC + _INPUT, "at most half of limits.call_s_max"),
        (_GRPC + '[[inputs]]\nname = "x"\ndtype = "BYTES"\n', "BYTES holds the text of one categorical column"),
        (_GRPC + '[[inputs]]\nname = "x"\nflat = true\n', "flat is for one column, it has 3"),
        (_HTTP + '[http]\nrows = "$.a[0]"\n', "must name a field"),
        (_HTTP + '[http]\nscores = ["a.b"]\n', "'a.b' is no JSON path"),
        (_HTTP + "[http]\n[[inputs]]\n[[inputs]]\n", "plain HTTP has rows and no tensors"),
        ('ca = "/nowhere.pem"\n' + _HTTP.replace("http:", "https:") + "[http]\n", "ca '/nowhere.pem': No such file"),
        (_GRPC.replace("grpc:", "grpcs:") + 'ca = "/nowhere.pem"\n' + _INPUT, "ca '/nowhere.pem': No such file"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(text, why, tmp_path):
    with pytest.raises(ArtefactError, match=why):
        servers.remote(tmp_path, text)


def test_it_is_inspected_without_a_server_and_loaded_only_where_somebody_vouches_for_it(tmp_path):
    package = ModelPackage(
        name="m", version="v1", task="regression", artefact="remote.toml", inputs=(Feature("x"),),
        limits=Limits(batch_rows=16),
    )  # fmt: skip
    (tmp_path / "remote.toml").write_text(_GRPC.replace("a:8001", "127.0.0.1:1") + _INPUT)
    inspect_artefact(package, tmp_path)
    with pytest.raises(UntrustedCodeError, match="--trust-code"):
        load_artefact(package, tmp_path)
    backend = load_artefact(package, tmp_path, trust_code=True)
    assert backend.shapes.buckets == (16,) and backend.health() == ""
    with pytest.raises(Unavailable, match=r"m v1: grpc://127.0.0.1:1 answers UNAVAILABLE"):
        backend.score(np.zeros((16, 1), np.float32))
