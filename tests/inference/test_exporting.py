"""A package as other servers load it: what they read is read back by their own schemas."""

import json
import os

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

from benchmarks.remote_servers import __main__ as remote_servers
from driftline.cli import app
from inference import Limits, ModelPackage, write_package
from inference.exporting.packaged import Packaged, RowsRefused
from inference.exporting.targets import TARGETS, ExportError, Where, export
from streams.wire.schema import Feature
from tests.inference import remote_servers as servers

INPUTS = (Feature("a"), Feature("b"), Feature("c"))
CLASS = """
class Churn:
    def load(self, device): ...
    def predict(self, batch):
        if (batch["a"] == 13).any():
            raise ValueError("a is 13")
        return 2 * batch["a"] + 10 * batch["b"] + 100 * batch["c"]
"""


def package_in(folder, artefact="model.py:Churn"):
    package = ModelPackage(
        name="churn", version="v1", task="regression", artefact=artefact, inputs=INPUTS, limits=Limits(batch_rows=16)
    )
    folder.mkdir()
    write_package(package, folder)
    (folder / "model.py").write_text(CLASS)
    return package


def onnx_in(folder, rows=None):
    """A graph of one matrix: x @ [2, 10, 100]."""
    from onnx import TensorProto, helper, numpy_helper, save

    package = package_in(folder, "model.onnx")
    weights = numpy_helper.from_array(np.array([[2], [10], [100]], np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 1])],
        [weights],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "model.onnx")
    return package


def config_of(file):
    return text_format.Parse(file.read_text(), model_config_pb2.ModelConfig())


def test_triton_reads_the_configuration_of_a_package(tmp_path):
    package = package_in(tmp_path / "churn")
    files = export(package, tmp_path / "churn", "triton", Where(tmp_path / "out"))
    assert [str(file.relative_to(tmp_path / "out")) for file in files] == [
        "churn/1/model.py", "churn/1/package/model.py", "churn/1/package/model.toml", "churn/config.pbtxt",
    ]  # fmt: skip
    config = config_of(tmp_path / "out/churn/config.pbtxt")
    assert (config.name, config.backend, config.max_batch_size) == ("churn", "python", 0)
    assert [(i.name, list(i.dims)) for i in config.input] == [("x", [-1, 3])]
    compile(files[0].read_text(), "model.py", "exec")


@pytest.mark.parametrize("rows", [None, 16])
def test_triton_reads_the_configuration_of_an_onnx_file_which_it_runs_itself(rows, tmp_path):
    package = onnx_in(tmp_path / "churn", rows)
    export(package, tmp_path / "churn", "triton", Where(tmp_path / "out"))
    config = config_of(tmp_path / "out/churn/config.pbtxt")
    assert config.backend == "onnxruntime"
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [
        ("x", model_config_pb2.TYPE_FP32, [rows or -1, 3])
    ]
    assert [(o.name, list(o.dims)) for o in config.output] == [("y", [rows or -1, 1])]
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "out/churn/1/model.onnx")
    matrix = np.arange(48, dtype=np.float32).reshape(16, 3)
    np.testing.assert_allclose(session.run(["y"], {"x": matrix})[0], matrix @ [[2], [10], [100]])


def test_kserve_is_told_of_tritons_folder_or_of_an_image(tmp_path):
    package = onnx_in(tmp_path / "onnx")
    export(package, tmp_path / "onnx", "kserve", Where(tmp_path / "a", uri="s3://bucket/churn"))
    model = json.loads((tmp_path / "a/inferenceservice.yaml").read_text())["spec"]["predictor"]["model"]
    assert (model["protocolVersion"], model["storageUri"]) == ("v2", "s3://bucket/churn")
    package = package_in(tmp_path / "class")
    export(package, tmp_path / "class", "kserve", Where(tmp_path / "b", image="registry/churn:1"))
    tree = json.loads((tmp_path / "b/inferenceservice.yaml").read_text())
    assert tree["spec"]["predictor"]["containers"][0]["image"] == "registry/churn:1"
    assert (tmp_path / "b/model-settings.json").is_file()


def test_what_cannot_be_exported_is_refused_with_the_remedy(tmp_path):
    package = package_in(tmp_path / "churn")
    remote = ModelPackage(name="m", version="v1", task="regression", artefact="remote.toml", inputs=INPUTS)
    for given, target, where, why in (
        (package, "torchserve", Where(tmp_path / "o"), "known: triton, mlserver, kserve"),
        (remote, "triton", Where(tmp_path / "o"), r"runs no remote.toml: it is given files of the kinds .onnx"),
        (package, "kserve", Where(tmp_path / "o"), "--image"),
        (package, "mlserver", Where(tmp_path / "churn"), "is not empty; name a new folder"),
    ):
        with pytest.raises(ExportError, match=why):
            export(given, tmp_path / "churn", target, where)
    assert {suffix for kinds in TARGETS.values() for suffix in kinds} == {".onnx", ".pt2", ".py"}


def test_a_package_inside_of_another_server_scores_as_a_worker_does(tmp_path):
    package_in(tmp_path / "churn")
    scored = Packaged(tmp_path / "churn")
    assert scored(np.array([[1, 2, 3], [4, 5, 6]], np.float32)).tolist() == [[322], [658]]
    with pytest.raises(RowsRefused, match=r"row 1: ValueError: a is 13; 1 rows have no score"):
        scored(np.array([[1, 2, 3], [13, 0, 0]], np.float32))
    with pytest.raises(RowsRefused, match=r"x is of shape \[1, 2\], wanted \[rows, 3\]"):
        scored(np.zeros((1, 2), np.float32))


@pytest.mark.live
@pytest.mark.parametrize("server", ["mlserver", "triton"])
def test_a_server_loads_what_was_exported_for_it(server, tmp_path):
    variable = f"DRIFTLINE_TEST_{server.upper()}_PYTHON"
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} names no interpreter with {server} and driftline's dependencies")
    package = package_in(tmp_path / "churn")
    export(package, tmp_path / "churn", server, Where(tmp_path / "out"))
    started = {
        "mlserver": lambda: remote_servers.mlserver(python, tmp_path / "out"),
        "triton": lambda: remote_servers.triton_repository(python, tmp_path / "out", "churn"),
    }[server]
    matrix = np.random.default_rng(1).integers(100, 1000, (1000, 3)).astype(np.float32)
    with started() as addresses:
        for protocol, address in zip(("oip-v2-http", "oip-v2-grpc"), addresses.split(), strict=True):
            text = f'protocol = "{protocol}"\naddresses = ["{address}"]\ndeadline_ms = 5000\n[[inputs]]\nname = "x"\n'
            _, backend = servers.remote(tmp_path, text, inputs=INPUTS)
            np.testing.assert_array_equal(backend.score(matrix), Packaged(tmp_path / "churn")(matrix))
            with pytest.raises(ValueError, match="row 0: ValueError: a is 13"):
                backend.score(np.array([[13, 0, 0]], np.float32))


def test_the_command_writes_it(tmp_path, monkeypatch):
    from inference import Registry

    package_in(tmp_path / "churn")
    Registry(tmp_path / "registry").add(tmp_path / "churn")
    (tmp_path / "driftline.toml").write_text(f'registry = "{tmp_path}/registry"\n')
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["model", "export", "churn", "v1", "--to", "mlserver", "--json"])
    assert json.loads(done.stdout)["files"] == [
        "driftline_model.py", "model-settings.json", "package/model.py", "package/model.toml",
    ]  # fmt: skip
