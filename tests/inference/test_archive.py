"""Hostile archives: each tries to leave a file behind; none may be loaded, and the file must not be there."""

import contextlib
import io
import json
import pickle
import time
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from inference import ArtefactError, Limits, ModelPackage
from inference.backends.pt2_archive import fit, read_program
from streams.wire.schema import Feature


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.register_buffer("shift", torch.ones(3))

    def forward(self, matrix):
        with torch.no_grad():
            shifted = matrix + self.shift
        return torch.sigmoid(nn.functional.gelu(self.linear(shifted), approximate="tanh"))


def exported(file, module=None, rows=32, **more):
    torch.export.save(torch.export.export((module or Small()).eval(), (torch.zeros(rows, 3),), **more), file)
    return file


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("good") / "model.pt2")


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory):
    rows = torch.export.Dim("rows", min=2, max=4096)
    return exported(tmp_path_factory.mktemp("dynamic") / "model.pt2", dynamic_shapes=({0: rows},))


class Payload:
    """Creates a file when unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def rewritten(source, target, change):
    """Copy an archive, its entries (without their folder) changed."""
    with zipfile.ZipFile(source) as archive:
        entries = {i.filename.partition("/")[2]: archive.read(i) for i in archive.infolist()}
    change(entries)
    with zipfile.ZipFile(target, "w") as archive:
        for name, value in entries.items():
            archive.writestr(f"model/{name}", value)
    return target


def edited(name, change):
    def edit(entries):
        tree = json.loads(entries[name])
        change(tree)
        entries[name] = json.dumps(tree).encode()

    return edit


def program(change):
    return edited("models/model.json", change)


def saved(thing):
    out = io.BytesIO()
    torch.save(thing, out)
    return out.getvalue()


def first_node(tree):
    return tree["graph_module"]["graph"]["nodes"][0]


def hostile(marker):
    """Ways to make torch run something, by name."""
    text = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    weights = "data/weights/model_weights_config.json"
    constants = "data/constants/model_constants_config.json"

    def pickled_weight(entries):
        entries["data/weights/weight_0"] = saved(Payload(marker))
        edited(weights, lambda tree: next(iter(tree["config"].values())).update(use_pickle=True))(entries)

    def constant(prefix, value):
        def change(entries):
            entries[f"data/constants/{prefix}0"] = value
            payload = {"path_name": f"{prefix}0", "is_param": False, "use_pickle": True, "tensor_meta": None}
            edited(constants, lambda tree: tree["config"].update(evil=payload))(entries)

        return change

    def size(tree):
        expression = {"as_expr": {"expr_str": text, "hint": {"as_int": 32}}}
        tree["graph_module"]["graph"]["tensor_values"]["matrix"]["sizes"][0] = expression

    def renamed_node(tree):
        evil = f"x = {text}"
        graph = tree["graph_module"]["graph"]
        node = graph["nodes"][-1]
        node["name"] = node["outputs"][0]["as_tensor"]["name"] = evil
        graph["tensor_values"][evil] = next(iter(graph["tensor_values"].values()))

    def operator(target):
        def change(tree):
            node = first_node(tree)
            node["target"] = target
            node["inputs"] = [{"name": "x", "arg": {"as_string": f"touch {marker}"}, "kind": 1}]

        return program(change)

    signature = ("graph_module", "module_call_graph", 0, "signature")

    def argument_name(tree):
        for key in signature:
            tree = tree[key]
        tree["forward_arg_names"] = [f"matrix={text}"]

    def pytree(tree):
        for key in signature:
            tree = tree[key]
        tree["in_spec"] = tree["in_spec"].replace("builtins.dict", "collections.defaultdict")

    def custom_object(tree):
        first_node(tree)["inputs"].append(
            {"name": "y", "arg": {"as_custom_obj": {"name": "evil", "class_fqn": "__torch__.Evil"}}, "kind": 1}
        )

    return {
        "legacy weights": lambda entries: entries.update({"data/weights/model.pt": saved(Payload(marker))}),
        "legacy constants": lambda entries: entries.update({"data/constants/model.pt": saved(Payload(marker))}),
        "pickled weight": pickled_weight,
        "pickled tensor constant": constant("tensor_", saved(Payload(marker))),
        "custom object": constant("custom_obj_", saved(Payload(marker))),
        "opaque object": constant("opaque_obj_", pickle.dumps(Payload(marker))),
        "custom object in the graph": program(custom_object),
        "size that is Python": program(size),
        "node name that is Python": program(renamed_node),
        "argument name that is Python": program(argument_name),
        "operator that is os.system": operator("torch.os.system"),
        "operator that loads": operator("torch.serialization.load"),
        "operator that saves": operator("torch.ops.aten.save.default"),
        "operator of an extension": operator("#evil:call"),
        "tree of a class": program(pytree),
        "native code": lambda entries: entries.update({"data/aotinductor/model/x.so": b"\x7fELF"}),
        "something else": lambda entries: entries.update({"data/other/x": b""}),
        "weight from elsewhere": edited(
            weights, lambda tree: next(iter(tree["config"].values())).update(path_name="../../../etc/passwd")
        ),
    }


@pytest.mark.parametrize("way", hostile(Path("marker")))
def test_a_hostile_archive_is_refused_and_its_payload_does_not_run(good, tmp_path, way):
    marker = tmp_path / "ran"
    file = rewritten(good, tmp_path / "model.pt2", hostile(marker)[way])
    with pytest.raises(ArtefactError) as refused:
        read_program(file)
    assert str(file) in str(refused.value)
    assert not marker.exists()


def left_behind(marker):
    """What torch would run and can do without: replaced, not refused."""
    text = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    return {
        "example inputs": lambda e: e.update({"data/sample_inputs/model.pt": saved(((Payload(marker),), {}))}),
        "guards": program(lambda tree: tree.update(guards_code=[f"{text} is None"])),
    }


@pytest.mark.parametrize("way", left_behind(Path("marker")))
def test_what_torch_can_do_without_never_reaches_it(good, tmp_path, monkeypatch, way):
    marker = tmp_path / "ran"
    file = rewritten(good, tmp_path / "model.pt2", left_behind(marker)[way])
    ours = torch.export.load(io.BytesIO(read_program(file).archive)).module()
    ours(torch.zeros(32, 3))
    assert not marker.exists()
    # The payload has teeth: torch's own loader runs it.
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    theirs = torch.export.load(file).module()
    theirs(torch.zeros(32, 3))
    assert marker.exists()


@pytest.mark.parametrize("way", ["pickled weight", "size that is Python", "opaque object"])
def test_the_payloads_have_teeth(good, tmp_path, monkeypatch, way):
    marker = tmp_path / "ran"
    file = rewritten(good, tmp_path / "model.pt2", hostile(marker)[way])
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    with contextlib.suppress(Exception):  # torch may fail, after the payload ran
        torch.export.load(file)
    assert marker.exists()


@pytest.mark.parametrize("which", ["good", "dynamic"])
def test_a_rebuilt_archive_says_what_the_original_says(which, request):
    file = request.getfixturevalue(which)
    program = read_program(file)
    matrix = torch.rand(32, 3)
    ours = torch.export.load(io.BytesIO(program.archive)).module()(matrix)
    theirs = torch.export.load(file).module()(matrix)
    assert torch.equal(ours, theirs)
    assert (program.rows, program.features) == ((32 if which == "good" else None), 3)


def test_an_archive_is_rebuilt_to_the_same_bytes_whenever_it_is_read(good, monkeypatch):
    """A trial is remembered by them: with a date in them, every start would try every archive again."""
    first = read_program(good).archive
    monkeypatch.setattr("time.localtime", lambda *_: time.struct_time((2033, 5, 18, 3, 33, 20, 2, 138, 0)))
    assert read_program(good).archive == first


def test_two_tensors_in_are_refused(tmp_path):
    class Two(nn.Module):
        def forward(self, one, other):
            return one + other

    file = tmp_path / "two.pt2"
    torch.export.save(torch.export.export(Two(), (torch.zeros(4, 3), torch.zeros(4, 3))), file)
    with pytest.raises(ArtefactError, match="must take one float32"):
        read_program(file)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip at all" * 100])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    file = tmp_path / "model.pt2"
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"is it an archive that torch\.export\.save wrote"):
        read_program(file)


def test_a_plain_checkpoint_is_refused(tmp_path):
    torch.save(Small().state_dict(), tmp_path / "model.pt2")
    with pytest.raises(ArtefactError, match="could run code when loaded"):
        read_program(tmp_path / "model.pt2")


@pytest.mark.parametrize(("inputs", "rows", "said"), [(2, 32, "takes 3 features"), (3, 64, "batches of 32 rows")])
def test_a_program_of_another_shape_is_refused(good, inputs, rows, said):
    package = ModelPackage(
        name="m",
        version="v1",
        task="binary",
        artefact="model.pt2",
        inputs=tuple(Feature(f"x{n}") for n in range(inputs)),
        limits=Limits(batch_rows=rows),
    )
    with pytest.raises(ArtefactError, match=said):
        fit(package, read_program(good), good)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1)
        self.lift, self.out = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, matrix):
        return torch.sigmoid(self.out(self.encoder(self.lift(matrix).unsqueeze(1)).mean(1)))


class Modes(nn.Module):
    def forward(self, matrix):
        middle = torch.quantile(matrix, 0.5, dim=1).div(2, rounding_mode="floor")
        return torch.einsum("bi,bj->bij", matrix, matrix).sum((1, 2)) + middle


class Control(nn.Module):
    def forward(self, matrix):
        with torch.autocast("cpu", enabled=False):
            shifted = matrix.masked_fill(matrix == 0, float("-inf")).softmax(1)
        return torch.cond(matrix.sum() > 0, lambda m: m + 1, lambda m: m - 1, (shifted,))


@pytest.mark.parametrize("module", [Transformer, Modes, Control])
def test_ordinary_programs_pass(module, tmp_path):
    file = exported(tmp_path / "model.pt2", module())
    matrix = torch.rand(32, 3)
    ours = torch.export.load(io.BytesIO(read_program(file).archive)).module()(matrix)
    assert torch.equal(ours, torch.export.load(file).module()(matrix))
