"""An ONNX file, made harmless before ONNX Runtime reads it.

Nothing is handed on as it came. The file is parsed, checked, cut down to what running it needs, and written anew to one
string of bytes, which is all that ONNX Runtime gets: it opens no file of its own.

===============  ====================================================================================================
what             how it is bounded
===============  ====================================================================================================
file             with its weights at most `BYTES_MAX`, protobuf's own limit; its messages nest 100 deep at most
operators        those of the ONNX standard, ``ai.onnx`` and ``ai.onnx.ml``, and functions that the file itself writes
                 out in them; no library of custom operators is ever registered
weights in       taken from regular files inside the package, each within its file: no link out, no absolute path, no
other files      ``..``, no address in memory; then they stand in the string like the others
``Loop``         refused: a row could say how often it runs
===============  ====================================================================================================

``com.microsoft`` is refused too: those are the operators that ONNX Runtime writes when it saves what it has optimised
for one machine. No converter of a training library needs them, and their kernels check less.

What is left, a kernel that crashes on its arguments, or a graph that takes all memory or time, is for
`inference.backends.trial`. It runs blank rows and random ones. A graph whose sizes follow from the values of a row may
still take what it likes from a row that its author has chosen.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from inference.backends.errors import ArtefactError
from inference.backends.onnx_messages import MODEL

#: A message of protobuf's is no larger; ONNX Runtime reads none that is.
BYTES_MAX = 2**31 - 1
_STANDARD = ("", "ai.onnx", "ai.onnx.ml")
_UNBOUNDED = ("Loop",)
_EXTERNAL = 1
_RAW_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}


def read_model(file: Path, folder: Path) -> Any:
    """Read, check and cut down an ONNX file.

    Parameters
    ----------
    folder
        Of the package, in which its weights may lie.

    Returns
    -------
    A message of `inference.backends.onnx_messages`.

    Raises
    ------
    ArtefactError
        It is no ONNX file, or one that could do more than compute.
    """
    try:
        model = _parsed(file)
        ours = {(function.domain, function.name) for function in model.functions}
        for node in _nodes(model):
            _check_operator(node, ours)
        _bring_in_weights(model, file, folder.resolve())
    except ArtefactError as error:
        raise ArtefactError(f"{file}: {error}") from error.__cause__
    return model


def to_bytes(model: Any, file: Path) -> bytes:
    """The whole model as one string; the same model gives the same bytes.

    Raises
    ------
    ArtefactError
        It is too large for one.
    """
    try:
        content: bytes = model.SerializeToString(deterministic=True)
    except (ValueError, MemoryError) as error:
        raise ArtefactError(f"{file}: with its weights larger than {BYTES_MAX:,} bytes; quantise it") from error
    return content


def _parsed(file: Path) -> Any:
    size = file.stat().st_size
    if size > BYTES_MAX:
        raise ArtefactError(f"it has {size:,} bytes, an ONNX file at most {BYTES_MAX:,}; quantise it")
    try:
        model = MODEL.FromString(file.read_bytes())
    except (DecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"no ONNX file, or a damaged one ({error}); convert the model anew") from error
    model.DiscardUnknownFields()
    if not model.graph.node or not model.graph.output:
        raise ArtefactError("an ONNX file without a graph, or no ONNX file at all; convert the model anew")
    return model


def _nodes(model: Any) -> Iterator[Any]:
    """Every node, also of graphs inside of nodes and of functions."""
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [inner for graph in _graphs_of(node) for inner in graph.node]


def _graphs_of(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _check_operator(node: Any, ours: set[tuple[str, str]]) -> None:
    named = f"{node.domain or 'ai.onnx'}.{node.op_type}"[:120]
    if (node.domain, node.op_type) in ours:
        return
    if node.domain not in _STANDARD:
        raise ArtefactError(
            f"operator {named!r} is not of the ONNX standard (ai.onnx, ai.onnx.ml); convert the model anew without it, "
            "and not from what ONNX Runtime has optimised, or load the file in a class (model.py:Class)"
        )
    if node.op_type in _UNBOUNDED:
        raise ArtefactError(f"operator {named!r}: a row could say how often it runs; convert the model without it")


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of weights, wherever a file may hold one."""
    graphs = [model.graph, *(graph for node in _nodes(model) for graph in _graphs_of(node))]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    defaults = (attribute for function in model.functions for attribute in function.attribute_proto)
    for attribute in (*(attribute for node in _nodes(model) for attribute in node.attribute), *defaults):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


class _Slice(msgspec.Struct, frozen=True):
    """Where in another file the bytes of a tensor lie."""

    location: str
    offset: int
    length: int


def _bring_in_weights(model: Any, file: Path, folder: Path) -> None:
    """Put what lies in other files into the model itself."""
    total = file.stat().st_size
    for tensor in _tensors(model):
        if tensor.data_location != _EXTERNAL and not tensor.external_data:
            continue
        part = _slice(tensor)
        total += part.length
        if total > BYTES_MAX:
            raise ArtefactError(f"its weights have more than {BYTES_MAX:,} bytes, as many as are read; quantise it")
        tensor.raw_data = _read(part, file, folder)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def _slice(tensor: Any) -> _Slice:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        elements = 1
        for size in tensor.dims:
            elements *= size
        length = int(entries.get("length", elements * _RAW_BYTES[tensor.data_type]))
        part = _Slice(entries["location"], int(entries.get("offset", 0)), length)
    except (KeyError, ValueError) as error:
        raise ArtefactError(f"weights {tensor.name[:80]!r} lie in another file, and it is not clear where") from error
    if part.offset < 0 or part.length < 0:
        raise ArtefactError(f"weights {tensor.name[:80]!r} lie before the start of their file; convert the model anew")
    return part


def _read(part: _Slice, file: Path, folder: Path) -> bytes:
    path = PurePosixPath(part.location)
    if path.is_absolute() or ".." in path.parts or "\\" in part.location or "\0" in part.location:
        raise ArtefactError(f"weights in {part.location[:120]!r}: name a file inside the package")
    beside = file.parent / path
    if not beside.resolve().is_relative_to(folder):
        raise ArtefactError(f"weights in {part.location[:120]!r}: a link that leads out of the package")
    if not beside.is_file():
        raise ArtefactError(f"weights in {part.location[:120]!r}: no such file; put it there (--with {path.name})")
    if part.offset + part.length > beside.stat().st_size:
        raise ArtefactError(f"weights in {part.location[:120]!r}: the file is too short; copy it anew")
    with beside.open("rb") as opened:
        opened.seek(part.offset)
        return opened.read(part.length)
