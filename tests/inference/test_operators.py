"""What real exporters write passes, and says the same; what reaches beyond tensors does not."""

import importlib.util
import io
import json
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from inference import ArtefactError
from inference.backends import trial
from inference.backends.pt2_archive import Program, read_program
from inference.backends.pt2_expressions import check_size
from inference.backends.pt2_guards import Refused, check_arguments
from inference.backends.pt2_operators import ALLOWED
from inference.backends.trial_process import run

pytestmark = pytest.mark.system  # minutes: `make test-all`

_FILE = Path(__file__).parent / "architectures.py"
_SPEC = importlib.util.spec_from_file_location("architectures", _FILE)
architectures = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(architectures)
NETWORKS = architectures.networks()
ROWS = 32
ATEN = torch.ops.aten


@pytest.mark.parametrize("name", NETWORKS)
def test_what_people_export_passes_and_says_the_same(name, tmp_path):
    file = tmp_path / "model.pt2"
    example = torch.rand(ROWS, architectures.FEATURES, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(NETWORKS[name], (example,))
    torch.export.save(program, file)
    ours = read_program(file)
    assert run(ours.archive, ROWS, architectures.FEATURES, 2**30) == ""
    with torch.inference_mode():
        again = torch.export.load(io.BytesIO(ours.archive)).module()(example)
        assert torch.equal(again, program.module()(example))


def test_every_operator_on_the_list_is_one_of_the_pinned_torch():
    for target in sorted(ALLOWED):
        if target.startswith("torch.ops.aten."):
            name, overload = target.removeprefix("torch.ops.aten.").split(".")
            operator = getattr(getattr(ATEN, name), overload)
            kinds = {str(tag) for tag in operator.tags}
            assert not kinds & {"Tag.data_dependent_output", "Tag.nondeterministic_seeded"} - _SEEDED.get(name, set())


#: Identities in evaluation, which is how models are exported.
_SEEDED = {name: {"Tag.nondeterministic_seeded"} for name in ("dropout", "dropout_", "feature_dropout",
    "alpha_dropout", "scaled_dot_product_attention", "lstm", "gru", "rnn_tanh", "rnn_relu")}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    file = tmp_path_factory.mktemp("small") / "model.pt2"
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid()).eval()
    rows = torch.export.Dim("rows", min=2, max=4096)
    torch.export.save(torch.export.export(net, (torch.zeros(ROWS, 8),), dynamic_shapes=({0: rows},)), file)
    return file


def changed(small, tmp_path, change, entry="models/model.json"):
    """A copy of the archive, one of its JSON entries changed."""
    target = tmp_path / "model.pt2"
    with zipfile.ZipFile(small) as archive, zipfile.ZipFile(target, "w") as copy:
        for info in archive.infolist():
            value = archive.read(info)
            if info.filename.partition("/")[2] == entry:
                tree = json.loads(value)
                change(tree)
                value = json.dumps(tree).encode()
            copy.writestr(f"model/{info.filename.partition('/')[2]}", value)
    return target


def set_target(name):
    def change(tree):
        tree["graph_module"]["graph"]["nodes"][0]["target"] = name

    return change


@pytest.mark.parametrize(
    "name",
    [
        "torch.ops.aten._sparse_coo_tensor_unsafe.default",
        "torch.ops.aten._to_dense.default",
        "torch.ops.aten.as_strided.default",
        "torch.ops.aten.set_.source_Storage_storage_offset",
        "torch.ops.aten.resize_.default",
        "torch.ops.aten.empty.memory_format",
        "torch.ops.aten._unsafe_view.default",
        "torch.ops.aten._unsafe_index.Tensor",
        "torch.ops.aten.item.default",
        "torch.ops.aten.nonzero.default",
        "torch.ops.aten.repeat_interleave.Tensor",
        "torch.ops.aten.bincount.default",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.rand.default",
        "torch.ops.aten.add",
        "torch.ops.aten.add.Tensor.__call__",
        "torch.ops.quantized.linear.default",
        "torch.ops.mylib.op.default",
        "_operator.attrgetter",
        "torch.ops.higher_order.while_loop",
    ],
)
def test_another_operator_is_refused_by_name_with_what_to_do(name, small, tmp_path):
    with pytest.raises(ArtefactError) as refused:
        read_program(changed(small, tmp_path, set_target(name)))
    assert repr(name) in str(refused.value)
    assert "model.py:Class" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 64,
        "1" * 64 + "x",
        "(" * 1_000,
        "Add(" * 200 + "1" + ")" * 200,
        " " * 1_999 + "!",
        "Symbol('s0'" + ", a=True" * 200,
        "Pow(Integer(2), Integer(1000000000))",
        "Symbol('s0', __class__=True)",
        "Symbol(s0)",
        "Integer(1)Integer(2)",
        "Integer(1",
        "",
        "os",
        "1.5",
        "Add(1,)",
        "Mul(Integer(4), Symbol('s77', positive=True)).subs",
        "Integer(" + "9" * 5_000 + ")",
    ],
)
def test_a_size_that_is_more_than_a_size_is_refused_at_once(text):
    began = time.perf_counter()
    with pytest.raises(ArtefactError, match="export it anew"):
        check_size(text)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(4), Symbol('s0', integer=True))",
        "Add(Mul(Integer(-1), Symbol('u0')), Integer(3))",
        "Max(1, Symbol('s0'))",
        "512",
        "-1",
    ],
)
def test_a_size_as_torch_writes_it_passes(text):
    check_size(text)


WEIGHTS = "data/weights/model_weights_config.json"


def first_meta(tree):
    return next(iter(tree["config"].values()))["tensor_meta"]


def with_meta(**values):
    return lambda tree: first_meta(tree).update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_meta(sizes=[{"as_int": 2**40}, {"as_int": 8}]), "is larger than its"),
        (with_meta(storage_offset={"as_int": 1}), "is larger than its"),
        (with_meta(strides=[{"as_int": -8}, {"as_int": 1}]), "a stride or an offset of -8"),
        (with_meta(sizes=[{"as_int": -4}, {"as_int": 8}]), "a size, a stride or an offset of -4"),
        (with_meta(sizes=[{"as_int": 10**12}, {"as_int": 8}], strides=[{"as_int": 0}, {"as_int": 1}]), "repeats its"),
        (with_meta(sizes=[{"as_int": 4}]), "no dense tensor"),
        (with_meta(sizes=[{"as_int": True}, {"as_int": 8}]), "an offset of True"),
        (with_meta(dtype=10), "no dense tensor"),
        (with_meta(dtype=99), "no dense tensor"),
        (with_meta(layout=1), "no dense tensor"),
        (lambda tree: tree["config"].update({"__class__.forward": next(iter(tree["config"].values()))}), "no path"),
        (lambda tree: tree["config"].update({"a.__init__.b": next(iter(tree["config"].values()))}), "no path"),
    ],
)
def test_a_weight_that_reaches_out_of_its_bytes_is_refused(change, said, small, tmp_path):
    with pytest.raises(ArtefactError, match=said):
        read_program(changed(small, tmp_path, change, WEIGHTS))


def test_wherever_it_was_exported_it_is_loaded_on_the_cpu(small, tmp_path):
    def away(tree):
        for payload in tree["config"].values():
            payload["tensor_meta"]["device"] = {"type": "cuda", "index": 7}

    program = read_program(changed(small, tmp_path, away, WEIGHTS))
    torch.export.load(io.BytesIO(program.archive)).module()(torch.zeros(ROWS, 8))


def test_entries_that_are_larger_than_the_file_are_refused(small, tmp_path):
    """Many entries of the same bytes: what unpacks to a thousand times the file."""
    target = tmp_path / "model.pt2"
    with zipfile.ZipFile(small) as archive, zipfile.ZipFile(target, "w") as copy:
        for info in archive.infolist():
            copy.writestr(info.filename, archive.read(info))
        copy.writestr("model/data/weights/weight_900", bytes(100_000))
        same = copy.infolist()[-1]
        for n in range(901, 950):
            again = zipfile.ZipInfo(f"model/data/weights/weight_{n}")
            again.header_offset, again.file_size, again.compress_size = same.header_offset, 100_000, 100_000
            again.CRC = same.CRC
            copy.filelist.append(again)
    with pytest.raises(ArtefactError, match="larger, than the file"):
        read_program(target)


def test_a_program_of_another_size_is_not_read(small, tmp_path, monkeypatch):
    monkeypatch.setattr("inference.backends.pt2_archive.PROGRAM_BYTES_MAX", 1_000)
    with pytest.raises(ArtefactError, match="at most 1,000 are read"):
        read_program(small)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "9" * 30])
def test_a_number_that_is_none_is_refused(text, small, tmp_path):
    target = tmp_path / "model.pt2"
    with zipfile.ZipFile(small) as archive, zipfile.ZipFile(target, "w") as copy:
        for info in archive.infolist():
            value = archive.read(info)
            if info.filename.endswith("models/model.json"):
                value = value.replace(
                    b'"opset_version": {"aten":', b'"opset_version": {"x": %b, "aten":' % text.encode()
                )
                assert text.encode() in value
            copy.writestr(info.filename, value)
    if text == "1e999":
        return  # a float of torch's own: infinity as an exponent says nothing that its text would not
    with pytest.raises(ArtefactError, match=r"stands as a number|fits no 64 bits"):
        read_program(target)


zeros = torch.zeros
STATE = [zeros(1, 1, 2), zeros(1, 1, 2)]
ONE_LAYER = (True, 1, 0.0, False, False, True)
STARTS = (torch.tensor([0, 1]), torch.tensor([0, -9]))


@pytest.mark.parametrize(
    ("operator", "args"),
    [
        (ATEN.lstm.input, (zeros(1, 3, 200_000), STATE, [zeros(8, 2)] * 2 + [zeros(8)] * 2, *ONE_LAYER)),
        (ATEN.lstm.input, (zeros(1, 3, 2), STATE, [zeros(8, 2)] * 2 + [zeros(1)] * 2, *ONE_LAYER)),
        (ATEN.lstm.input, (zeros(1, 3, 2), STATE, [], *ONE_LAYER)),
        (ATEN.gru.input, (zeros(1, 3, 2), zeros(1, 1, 2), [zeros(6, 2)] * 2, True, 5, 0.0, False, False, True)),
        (ATEN._native_batch_norm_legit_no_training.default, (zeros(2, 9), *[zeros(1)] * 4, 0.1, 1e-5)),
        (ATEN._native_batch_norm_legit.no_stats, (zeros(2, 9), zeros(1), None, True, 0.1, 1e-5)),
        (ATEN.index.Tensor, (zeros(5), [torch.ones(5, dtype=torch.bool)])),
        (ATEN.grid_sampler_2d.default, (zeros(1, 1, 4, 4), zeros(1, 2, 2, 2), 9, 0, True)),
        (ATEN.one_hot.default, (torch.tensor([2**40]), -1)),
        (ATEN.embedding_bag.padding_idx, (zeros(4, 8), *STARTS, False, 0, False, None, False, None)),
    ],
    ids=lambda value: str(value) if not isinstance(value, tuple) else "",
)  # fmt: skip
def test_arguments_that_a_kernel_does_not_check_are_refused(operator, args):
    with pytest.raises(Refused, match="do not fit"):
        check_arguments(operator, args, {})


class Bags(nn.Module):
    """Bags that begin where the row says: torch follows them out of the list of indices."""

    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(9, 2, mode="sum")

    def forward(self, matrix):
        codes = matrix.abs().long().clamp(max=8).flatten()
        return self.bag(codes, matrix[:, 0].long())


class Wide(nn.Module):
    def forward(self, matrix):
        return matrix.unsqueeze(2).expand(-1, -1, 2**36).sum(2)


class Huge(nn.Module):
    def forward(self, matrix):
        return torch.zeros(2**18, 2**18).sum() + matrix[:, :1]


class Hidden(nn.Module):
    """The same behind a condition that blank rows do not meet."""

    def forward(self, matrix):
        return torch.cond(matrix.sum() > 1, lambda m: torch.zeros(2**18, 2**18).sum() + m, lambda m: m + 1, (matrix,))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Bags(), "begins bags where the data say"),
        (Wide(), r"expand.default makes a tensor of \(32, 8, 68719476736\)"),
        (Huge(), "takes more than|makes a tensor of"),
        (Hidden(), "takes more than|makes a tensor of"),
    ],
    ids=["bags", "wide", "huge", "hidden"],
)
def test_a_program_that_takes_what_it_should_not_is_refused(module, said, tmp_path):
    file = tmp_path / "model.pt2"
    with torch.device("cpu"):
        torch.export.save(torch.export.export(module.eval(), (torch.zeros(ROWS, 8),)), file)
    program = read_program(file)
    with pytest.raises(ArtefactError, match=said):
        trial.try_out(program, (ROWS,), file)


def test_a_program_that_has_passed_is_tried_once(small, tmp_path, monkeypatch):
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path / "cache"))
    program = read_program(small)
    trial.try_out(program, (ROWS,), small)
    monkeypatch.setattr(trial.subprocess, "run", None)
    trial.try_out(program, (ROWS,), small)  # by its hash
    with pytest.raises(TypeError):
        trial.try_out(program, (2 * ROWS,), small)  # another batch is another program
    with pytest.raises(TypeError):
        trial.try_out(Program(program.archive + b"x", None, 8), (ROWS,), small)


def test_a_process_that_dies_is_a_refusal(tmp_path, monkeypatch):
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path))
    died = trial.subprocess.CompletedProcess([], -11, b"passed", b"")
    monkeypatch.setattr(trial.subprocess, "run", lambda *_, **__: died)
    with pytest.raises(ArtefactError, match=r"m\.pt2: a batch of 32 rows ends the process that runs it \(SIGSEGV\)"):
        trial.try_out(Program(b"", None, 8), (ROWS,), Path("m.pt2"))
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "before",
    ["resource.setrlimit(resource.RLIMIT_CPU, (60, 60))", "trial_limits._MEMORY = Path('nowhere')"],
    ids=["less is allowed", "no Linux"],
)
def test_bounds_are_set_wherever_it_runs(before):
    code = (
        "import resource; from pathlib import Path; from inference.backends import trial_limits; "
        f"{before}; trial_limits.limit(2**40, 3600); print(*resource.getrlimit(resource.RLIMIT_FSIZE))"
    )
    done = trial.subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "65536 65536\n", done.stderr


def test_a_trial_that_cannot_run_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path))
    failed = trial.subprocess.CompletedProcess(
        [], 1, b"", b"Traceback:\nModuleNotFoundError: No module named 'torch'\n"
    )
    monkeypatch.setattr(trial.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ArtefactError, match=r"m\.pt2: its first run ended with code 1 \(ModuleNotFoundError: No"):
        trial.try_out(Program(b"", None, 8), (ROWS,), Path("m.pt2"))
