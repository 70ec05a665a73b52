"""Hostile and damaged ONNX files: each is refused by name, and nothing outside of the package is read."""

import random

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from onnx import TensorProto as Types
from onnx import helper

from inference import ArtefactError, Limits, ModelPackage, Scorer
from inference.backends import inspect_artefact, load_artefact, onnx_file
from inference.backends.onnx_messages import MODEL
from inference.backends.onnx_program import read_onnx
from streams.wire.schema import Feature

PACKAGE = ModelPackage(
    name="m",
    version="v1",
    task="regression",
    artefact="model.onnx",
    inputs=(Feature("a"), Feature("b")),
    limits=Limits(16),
)
X, Y = ("X", Types.FLOAT, ["n", 2]), ("y", Types.FLOAT, ["n", 1])


def model(nodes, initializers=(), functions=(), domains=()):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*X)], [helper.make_tensor_value_info(*Y)], list(initializers)
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def weights(**entries):
    tensor = Types(name="w", data_type=Types.FLOAT, dims=[2, 1], data_location=Types.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def product(tensor):
    return model([helper.make_node("MatMul", ["X", "w"], ["y"])], [tensor])


def good():
    return product(helper.make_tensor("w", Types.FLOAT, [2, 1], [2.0, 3.0]))


def refused(content, folder, why):
    file = folder / "model.onnx"
    file.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    with pytest.raises(ArtefactError, match=why) as error:
        read_onnx(PACKAGE, file)
    assert str(file) in str(error.value)


def branch(*nodes):
    output = helper.make_tensor_value_info("y", Types.FLOAT, ["n", 1])
    return helper.make_graph(list(nodes), "branch", [], [output])


def under_a_branch(node):
    condition = helper.make_tensor("c", Types.BOOL, [], [True])
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch(node), else_branch=branch(node))
    return model([choice], [condition])


def in_a_function(node):
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("ours", "f", ["X"], ["y"], [node], opsets)
    return model([helper.make_node("f", ["X"], ["y"], domain="ours")], functions=[function], domains=["ours"])


@pytest.mark.parametrize("place", [lambda node: model([node]), under_a_branch, in_a_function])
@pytest.mark.parametrize("operator", ["com.microsoft.FusedGemm", "ai.onnx.contrib.PyCustomOp", "evil.Identity", "Loop"])
def test_an_operator_that_is_not_allowed_is_refused_wherever_it_stands(tmp_path, operator, place):
    domain, _, name = operator.rpartition(".")
    refused(place(helper.make_node(name, ["X"], ["y"], domain=domain)), tmp_path, rf"operator '.*{name}'")


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"location": "/etc/passwd"}, "inside the package"),
        ({"location": "../secret.bin"}, "inside the package"),
        ({"location": "sub/../../secret.bin"}, "inside the package"),
        ({"location": "link.bin"}, "leads out of the package"),
        ({"location": "linked/secret.bin"}, "leads out of the package"),
        ({"location": "*/_ORT_MEM_ADDR_/*", "offset": 140_000_000, "length": 8}, "no such file"),
        ({"location": "nothing.bin"}, "no such file"),
        ({"location": "."}, "no such file"),
        ({"location": "w.bin", "offset": 4}, "too short"),
        ({"location": "w.bin", "length": 2**40}, "more than"),
        ({"location": "w.bin", "offset": -8}, "before the start"),
        ({"location": "w.bin", "offset": "zero"}, "not clear where"),
        ({}, "not clear where"),
    ],
)
@pytest.mark.parametrize("place", ["weights", "constant"])
def test_weights_from_elsewhere_are_refused(tmp_path, entries, why, place):
    outside, folder = tmp_path / "secret.bin", tmp_path / "package"
    outside.write_bytes(bytes(8))
    folder.mkdir()
    (folder / "w.bin").write_bytes(bytes(8))
    (folder / "link.bin").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    tensor = weights(**entries)
    if place == "weights":
        refused(product(tensor), folder, why)
        return
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("MatMul", ["X", "w"], ["y"])]
    refused(model(nodes), folder, why)


def test_weights_inside_the_package_are_read_and_the_trial_passes(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"xxxx" + np.array([2, 3], "<f4").tobytes())
    (tmp_path / "model.onnx").write_bytes(product(weights(location="w.bin", offset=4)).SerializeToString())
    inspect_artefact(PACKAGE, tmp_path)
    scorer = Scorer(PACKAGE, load_artefact(PACKAGE, tmp_path))
    assert scorer(np.array([[1, 10]], np.float32)).values.tolist() == [[32.0]]


@pytest.mark.parametrize("content", [b"", b"not a protobuf" * 9, b"\x08\x08", b"PK\x03\x04", b"ORTM" + bytes(99)])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    refused(content, tmp_path, "convert the model anew")


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "BYTES_MAX", 20)
    refused(good(), tmp_path, "at most 20; quantise it")


def field(number, content):
    """A field of a message, as protobuf writes it."""
    size, length = b"", len(content)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def test_graphs_that_nest_without_end_are_refused(tmp_path):
    node = b""
    for _ in range(200):
        node = field(5, field(6, field(1, node)))  # a node's attribute, its graph, the graph's node
    refused(field(7, field(1, node)), tmp_path, "damaged one")


def test_a_damaged_file_is_refused_or_read_and_raises_nothing_else(tmp_path):
    content, draw, file = good().SerializeToString(), random.Random(5), tmp_path / "model.onnx"
    refusals = 0
    for _ in range(400):
        damaged = bytearray(content[: draw.randrange(len(content))] if draw.random() < 0.3 else content)
        for _ in range(draw.randrange(4)):
            if damaged:
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        file.write_bytes(damaged)
        try:
            read_onnx(PACKAGE, file)
        except ArtefactError as error:
            assert str(file) in str(error)
            refusals += 1
    assert refusals > 100


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        (
            [
                helper.make_node("Constant", [], ["size"], value_ints=[2**20, 2**20]),
                helper.make_node("ConstantOfShape", ["size"], ["much"]),
                helper.make_node("ReduceSum", ["much"], ["sum"]),
                helper.make_node("ReduceSum", ["X", "axes"], ["row"]),
                helper.make_node("Add", ["row", "sum"], ["y"]),
            ],
            "more memory than a model may|fails on a batch",
        ),
        ([helper.make_node("Conv", ["X", "axes"], ["y"])], "fails on a batch of"),
    ],
)
def test_a_graph_that_takes_too_much_or_fails_is_refused_by_its_trial(tmp_path, nodes, why):
    axes = helper.make_tensor("axes", Types.INT64, [1], [1])
    (tmp_path / "model.onnx").write_bytes(model(nodes, [axes]).SerializeToString())
    with pytest.raises(ArtefactError, match=why):
        inspect_artefact(PACKAGE, tmp_path)


def test_the_tables_of_messages_are_those_of_onnx():
    """The numbers and types of `onnx.proto`, as the package `onnx` has them."""
    names = {
        "Opset": "OperatorSetId", "Entry": "StringStringEntry", "Value": "ValueInfo", "Shape": "TensorShape",
    }  # fmt: skip
    inner = {"TensorType": "Tensor", "Sequence": "Sequence", "Map": "Map"}
    for name, ours in MODEL.DESCRIPTOR.file.message_types_by_name.items():
        if name in inner:
            theirs = onnx.TypeProto.DESCRIPTOR.nested_types_by_name[inner[name]]
        elif name == "Dimension":
            theirs = onnx.TensorShapeProto.DESCRIPTOR.nested_types_by_name[name]
        else:
            theirs = getattr(onnx, f"{names.get(name, name)}Proto").DESCRIPTOR
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            assert (field.number, field.is_repeated) == (other.number, other.is_repeated), (name, field.name)
            assert field.type == other.type or other.type == FieldDescriptor.TYPE_ENUM, (name, field.name)
