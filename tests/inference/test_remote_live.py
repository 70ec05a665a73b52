"""Against real servers: `python -m benchmarks.remote_servers` starts them and names them in the environment."""

import json
import os
import re

import numpy as np
import pytest

from inference import Scorer, Unavailable
from streams.wire.schema import Feature
from tests.inference import remote_servers as servers

pytestmark = pytest.mark.live
INPUTS = (Feature("a"), Feature("b"), Feature("c"))
SPOKEN = {
    "mlserver": {"oip-v2-grpc": "", "oip-v2-http": ""},
    "triton": {"oip-v2-grpc": "", "oip-v2-http": 'missing = "NaN"\n', "oip-v2-http, binary": "binary = true\n"},
}


@pytest.fixture(params=[(server, spoken) for server in SPOKEN for spoken in SPOKEN[server]], ids=" ".join)
def backend(request, tmp_path):
    """A package and its backend, by a server and a protocol."""
    server, spoken = request.param
    variable = f"DRIFTLINE_TEST_{server.upper()}"
    addresses = os.environ.get(variable, "").split()
    if not addresses:
        pytest.skip(f"{variable} names no server; `python -m benchmarks.remote_servers` starts one")
    protocol = spoken.partition(",")[0]
    [address] = [address for address in addresses if address.startswith(protocol.rpartition("-")[2])]
    refusals = '["400", "INVALID_ARGUMENT"' + (', "500", "INTERNAL"]' if "13" in request.node.name else "]")
    text = f'protocol = "{protocol}"\naddresses = ["{address}"]\ndeadline_ms = 5000\n{SPOKEN[server][spoken]}'
    text += f'refusals = {refusals}\n[[inputs]]\nname = "x"\n[[outputs]]\nname = "p"\n'
    return servers.remote(tmp_path, text, inputs=INPUTS)


@pytest.mark.parametrize(
    ("kind", "why"), [("13", Unavailable), ("14", ValueError)], ids=["fault of the model", "refusal"]
)
def test_a_fault_of_the_model_blames_nobody_unless_the_file_says_so_and_a_refusal_the_rows(backend, kind, why, request):
    if "triton" in request.node.name and kind == "14":
        pytest.skip("pytriton's models have no way to refuse an input")
    with pytest.raises(why, match=f"a is {kind}|500: Internal Server Error$"):
        backend[1].score(np.array([[1, 2, 3], [int(kind), 0, 0]], np.float32))


def score_of(matrix):
    return 2 * matrix[:, 0] + 10 * matrix[:, 1] + 100 * matrix[:, 2]


@pytest.mark.parametrize("rows", [1, 16, 1000])
def test_rows_their_order_and_their_values_are_kept(backend, rows):
    matrix = np.random.default_rng(rows).integers(-1000, 1000, (rows, 3)).astype(np.float32)
    matrix[matrix == 13], matrix[matrix == 14] = 0, 0
    np.testing.assert_array_equal(backend[1].score(matrix)[:, 0], score_of(matrix))


def test_a_missing_value_arrives_as_nan(backend):
    matrix = np.array([[1, 2, 3], [np.nan, 0, 0]], np.float32)
    assert Scorer(*backend)(matrix).values[:, 0].tolist() == [322, -2]


def test_a_row_over_which_the_model_raises_is_found_13(backend):
    matrix = np.array([[n, 0, 0] for n in range(32)], np.float32)[np.arange(32) != 14]
    scores = Scorer(*backend, sleep=lambda s: None)(matrix)
    assert list(scores.failures) == [13]
    assert re.search("a is 13|500: Internal Server Error$", scores.failures[13].why)
    assert np.delete(scores.values[:, 0], 13).tolist() == [2.0 * n for n in range(32) if n not in (13, 14)]


def test_a_model_that_is_not_there_and_a_tensor_that_is_not_are_waited_for(backend, tmp_path):
    text = (tmp_path / "remote.toml").read_text()
    for changed in ('model = "nobody"\n' + text, text.replace('name = "p"', 'name = "q"')):
        _, other = servers.remote(tmp_path, changed, inputs=INPUTS)
        try:
            other.score(np.zeros((2, 3), np.float32))
        except Unavailable:
            continue
        except ValueError as error:  # Triton says INVALID_ARGUMENT of an output that it has not, and so refuses blanks
            assert "q" in json.dumps(str(error))
        else:
            pytest.fail(changed)
