"""Weights with a module, and native code: what is loaded says what torch says, and nobody's code runs unasked."""

import shutil
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from inference import ArtefactError, Limits, ModelPackage, PackageError, Registry, Scorer, UntrustedCodeError
from inference.backends import inspect_artefact, load_artefact
from inference.backends.aoti_package import load_compiled
from inference.backends.kinds import files_of, kind_of
from inference.onboarding.draft import brought
from streams.wire.schema import Feature

NETWORK = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 1), nn.Sigmoid())

        def forward(self, matrix):
            return self.layers(matrix)
"""


class Net(nn.Module):
    """The same network, as the one who has trained it has it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 1), nn.Sigmoid())


def package(artefact="model.safetensors:network.py:Net"):
    inputs = tuple(map(Feature, "abc"))
    limits = Limits(64, buckets=(16,))
    return ModelPackage(name="m", version="v1", task="binary", artefact=artefact, inputs=inputs, limits=limits)


@pytest.fixture
def folder(tmp_path):
    save_file(Net().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "network.py").write_text(textwrap.dedent(NETWORK))
    return tmp_path


def test_weights_and_a_module_say_what_torch_says(folder):
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    inspect_artefact(package(), folder)
    scorer = Scorer(package(), load_artefact(package(), folder, "cpu", trust_code=True))
    with torch.inference_mode():
        expected = Net().eval().layers(torch.from_numpy(rows)).numpy()
    assert scorer(rows).values == pytest.approx(expected, abs=1e-6)
    order = np.random.default_rng(1).permutation(40)
    assert scorer(rows[order]).values.tobytes() == scorer(rows).values[order].tobytes()


def test_a_module_that_nobody_vouched_for_does_not_run(folder):
    marker = folder / "ran"
    (folder / "network.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    inspect_artefact(package(), folder)
    with pytest.raises(UntrustedCodeError, match=r"network\.py: m v1 is Python code .* --trust-code"):
        load_artefact(package(), folder, "cpu")
    assert not marker.exists()


def test_weights_of_another_network_are_refused_by_name(folder):
    weights = Net().state_dict()
    del weights["layers.0.bias"]
    weights |= {"head.weight": torch.zeros(1), "layers.3.weight": torch.zeros(1, 9)}
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ArtefactError) as refused:
        load_artefact(package(), folder, "cpu", trust_code=True)
    said = "lacking layers.0.bias; of no use head.weight; of another shape layers.3.weight"
    assert said in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}x"])
def test_a_file_that_holds_no_weights_is_refused_before_any_code_runs(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"model\.safetensors: no safetensors file, or a damaged one"):
        inspect_artefact(package(), folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "it has no class 'Net'"),
        ("class Net: ...", "class Net needs a method load_state_dict"),
        ("raise SystemExit(3)", "m v1 fails while it is loaded: SystemExit: 3"),
    ],
)
def test_a_module_that_is_none_is_refused(folder, text, said):
    (folder / "network.py").write_text(text)
    with pytest.raises(ArtefactError, match=said):
        load_artefact(package(), folder, "cpu", trust_code=True)


def test_the_module_lies_in_the_package(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "network.py"
    shutil.move(folder / "network.py", outside)
    with pytest.raises(ArtefactError, match=r"network\.py: no such file"):
        inspect_artefact(package(), folder)
    (folder / "network.py").symlink_to(outside)
    with pytest.raises(ArtefactError, match="a link that leads out of the package"):
        inspect_artefact(package(), folder)
    with pytest.raises(PackageError, match="name a file inside the package's folder"):
        package(f"model.safetensors:{outside}:Net")
    given = f"{folder / 'model.safetensors'}:{outside}:Net"
    assert brought(given, folder / "made") == "model.safetensors:network.py:Net"
    assert (folder / "made" / "network.py").read_text() == outside.read_text()


def test_kinds_are_told_by_suffix_and_parts():
    titles = {name: kind and kind.title for name in ("a.aoti.pt2", "a.pt2", "a.pt2:N", "a.safetensors", "a.py::N")
              for kind in [kind_of(name)]}  # fmt: skip
    assert titles == {
        "a.aoti.pt2": "an AOTInductor package",
        "a.pt2": "a torch.export archive",
        "a.pt2:N": None,
        "a.safetensors": None,
        "a.py::N": None,
    }
    assert files_of("a.safetensors:sub/b.py:Net") == ("a.safetensors", "sub/b.py")


def test_native_code_that_nobody_vouched_for_is_not_loaded(tmp_path):
    (tmp_path / "model.aoti.pt2").write_bytes(b"\x7fELF")
    described = package("model.aoti.pt2")
    with pytest.raises(ArtefactError, match="no AOTInductor package"):
        inspect_artefact(described, tmp_path)
    with pytest.raises(UntrustedCodeError, match="is native code from a place that is not this machine's own"):
        load_artefact(described, tmp_path)


def test_native_code_runs_where_it_was_compiled_for(tmp_path, monkeypatch):
    """A loader of torch's in place of a compiler's result, which `tests/system` makes."""
    asked = []

    class Compiled:
        def __init__(self, device):
            self.loader = self
            self.device = device

        def get_metadata(self):
            return {"AOTI_DEVICE_KEY": self.device}

        def __call__(self, matrix):
            return matrix.sum(1)

    def loader(device):
        return lambda path, device_index: asked.append(device_index) or Compiled(device)

    file = tmp_path / "model.aoti.pt2"
    file.write_bytes(b"PK\x05\x06" + bytes(18))
    described = package("model.aoti.pt2")
    monkeypatch.setitem(sys.modules, "torch._inductor", SimpleNamespace(aoti_load_package=loader("cpu")))
    on_a_gpu_s_machine = load_compiled(described, file, "cuda:1", True)
    assert on_a_gpu_s_machine.score(np.ones((16, 3), np.float32)).tolist() == [3.0] * 16
    assert asked == [1]
    monkeypatch.setitem(sys.modules, "torch._inductor", SimpleNamespace(aoti_load_package=loader("cuda")))
    with pytest.raises(ArtefactError, match="compiled for cuda, and this worker has cpu"):
        load_compiled(described, file, "cpu", True)
    assert asked == [1, -1]


@pytest.mark.system  # starts a compiler: 40 s of a processor
@pytest.mark.timeout(900)
def test_a_compiled_network_says_what_torch_says(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("no g++ here, which AOTInductor compiles with")
    network = Net().eval().layers
    rows = torch.export.Dim("rows", min=2, max=4096)
    program = torch.export.export(network, (torch.zeros(32, 3),), dynamic_shapes=({0: rows},))
    torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "model.aoti.pt2"))
    described = package("model.aoti.pt2")
    from inference import write_package

    write_package(described, tmp_path)
    registry = Registry(tmp_path.parent / "registry")
    registry.add(tmp_path)
    scorer = registry.load("m", "v1", "cpu", trust_code=True)
    matrix = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(matrix)).numpy()
    assert scorer(matrix).values == pytest.approx(expected, abs=1e-6)
