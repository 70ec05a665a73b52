"""What an ONNX graph takes and gives, and which of its outputs are a package's scores.

Converters differ. scikit-learn's gives a label and the probabilities, these as a tensor or as a list of maps (a
``ZipMap``); a regressor's gives one tensor; a network exported from elsewhere whatever its author wrote. A map is the
tensor before it with names: the graph is changed to give the tensor, and the names are kept.
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from inference.backends.errors import ArtefactError
from inference.packages.model_toml import ModelPackage, Task
from streams.wire.classes import Classes

#: What a column or a score may be made of, by the numbers of `onnx.proto`.
TYPES = {1: "float", 6: "int32", 7: "int64", 8: "string", 9: "bool", 11: "double"}
_SCORES = ("float", "double")
_RENAMES = ("Identity", "Cast", "Reshape", "Squeeze", "Flatten")
_CLASSIFIERS = ("TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier")


class Port(NamedTuple):
    """An input or an output of a graph. ``type`` is empty for what is no tensor of `TYPES`, an axis that varies None.

    >>> str(Port("X", "float", (None, 3)))
    'X float [rows, 3]'
    """

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join("rows" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.type or 'of another type'} [{sizes}]"


class ScoreOutput(NamedTuple):
    """The output that holds the scores. ``columns`` puts its columns in the order of the package's classes."""

    name: str
    columns: tuple[int, ...] | None = None


def inputs_of(model: Any) -> tuple[Port, ...]:
    """What a graph takes; weights that an old file lists among its inputs are none."""
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    return tuple(_port(value) for value in model.graph.input if value.name not in weights)


def outputs_of(model: Any) -> tuple[Port, ...]:
    """What a graph gives."""
    return tuple(_port(value) for value in model.graph.output)


def _port(value: Any) -> Port:
    tensor = value.type.tensor_type
    sizes = tuple(size.dim_value if size.dim_value > 0 else None for size in tensor.shape.dim)
    return Port(value.name[:200], TYPES.get(tensor.elem_type, ""), sizes)


def rows_of(inputs: tuple[Port, ...]) -> int | None:
    """Rows of the one batch that a graph takes; None where it takes any number.

    >>> rows_of((Port("X", "float", (512, 3)),)), rows_of((Port("a", "float", (None, 1)),))
    (512, None)
    """
    fixed = sorted({port.shape[0] for port in inputs if port.shape and port.shape[0] is not None})
    if len(fixed) > 1:
        raise ArtefactError(f"its inputs have batches of {fixed} rows; convert it with one number of rows for all")
    return fixed[0] if fixed else None


def without_maps(model: Any) -> dict[str, tuple[str, ...]]:
    """Let a graph give tensors where it gave lists of maps.

    Returns
    -------
    By name of such an output, the classes in the order of the tensor's columns.
    """
    graph, labels = model.graph, {}
    maps = {node.output[0]: node for node in graph.node if node.op_type == "ZipMap" and node.output and node.input}
    for value in graph.output:
        if value.name not in maps:
            continue
        node = maps[value.name]
        node.domain, node.op_type = "", "Identity"
        labels[value.name] = _listed(node)
        del node.attribute[:]
        value.ClearField("type")
        value.type.tensor_type.elem_type = 1
    return labels


def _listed(node: Any) -> tuple[str, ...]:
    """The classes that an operator of classes names in its attributes."""
    for attribute in node.attribute:
        if attribute.name.startswith("classlabels") and (attribute.strings or attribute.ints):
            texts = [text.decode("utf-8", "replace") for text in attribute.strings]
            return tuple(texts or map(str, attribute.ints))
    return ()


def score_output(model: Any, package: ModelPackage) -> ScoreOutput:
    """Find the scores among a graph's outputs, and what its columns mean; a ``ZipMap`` is taken out of the graph.

    Raises
    ------
    ArtefactError
        None of them can be the scores, several can, or the classes are not those of `model.toml`.
    """
    maps = without_maps(model)
    ports = list(outputs_of(model))
    chosen = _chosen(ports, maps, package.task)
    if package.task == "regression":
        return ScoreOutput(chosen.name)
    labels = maps.get(chosen.name) or _labels(model, [port for port in ports if port.type not in _SCORES])
    return ScoreOutput(chosen.name, _columns(labels, package) if labels else None)


def _chosen(ports: list[Port], maps: Collection[str], task: Task) -> Port:
    """The one output of numbers; of several the one that was a map, else the one that converters call so."""
    listed = ", ".join(map(str, ports))[:400]
    numbers = [port for port in ports if port.type in _SCORES]
    if not numbers:
        wanted = "values" if task == "regression" else "probabilities"
        raise ArtefactError(
            f"it gives {listed}, none of them numbers with a fraction; convert it so that it gives {wanted}"
        )
    usual = "variable" if task == "regression" else "prob"
    mapped = [port for port in numbers if port.name in maps]
    for candidates in (numbers, mapped, [port for port in numbers if usual in port.name.lower()]):
        if len(candidates) == 1:
            return candidates[0]
    raise ArtefactError(f"it gives {listed}, and it is not clear which are the scores; leave one output of numbers")


def _labels(model: Any, others: list[Port]) -> tuple[str, ...]:
    """The classes by the output that is the label: those of the operator that it comes from; empty where unknown."""
    makers = {name: node for node in model.graph.node for name in node.output}
    for port in others:
        node = makers.get(port.name)
        seen = 0
        while node is not None and node.op_type in _RENAMES and node.input and seen < len(makers):
            node, seen = makers.get(node.input[0]), seen + 1
        if node is None or not node.input:
            continue
        if node.op_type in _CLASSIFIERS:
            return _listed(node)
        if node.op_type == "ArrayFeatureExtractor":
            return _constant(model, node.input[0])
    return ()


def _constant(model: Any, name: str) -> tuple[str, ...]:
    """The texts, or whole numbers, of a tensor of weights."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            texts = [text.decode("utf-8", "replace") for text in tensor.string_data]
            return tuple(texts or map(str, tensor.int64_data or tensor.int32_data))
    return ()


def _columns(labels: tuple[str, ...], package: ModelPackage) -> tuple[int, ...] | None:
    """Column of each of the package's classes; None where they stand in that order already.

    Raises
    ------
    ArtefactError
        The model's classes are others.
    """
    classes = package.outputs.classes
    meant = Classes(classes).of_all(labels)
    if sorted(filter(None, meant)) != sorted(classes) or None in meant:
        raise ArtefactError(
            f"its classes are {_short(labels)}, and model.toml has {_short(classes)}; correct outputs.classes, or name "
            "the label that it was trained on (--label)"
        )
    columns = tuple(meant.index(name) for name in classes)
    return None if columns == tuple(range(len(columns))) else columns


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(re.sub(r"[^\x20-\x7e]", "?", name)[:40] for name in names[:8]) + (", ..." if names[8:] else "")
