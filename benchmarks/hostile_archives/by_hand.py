"""Archives made by hand: each does one thing that somebody would try."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.hostile_archives.mutations import PROGRAM, TABLES, packed, unpacked

Change = Callable[[Any], None]


def by_hand(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each, made from an ordinary archive."""
    entries = unpacked(good)
    for name, change in _PROGRAMS.items():
        yield name, _with_json(entries, PROGRAM, change)
    for name, change in _TENSORS.items():
        yield name, _with_json(entries, TABLES[0], change)
    for name, more in _ENTRIES.items():
        yield name, packed({**entries, **more})
    yield from _zips(good, entries)


def _with_json(entries: dict[str, bytes], name: str, change: Change) -> bytes:
    tree = json.loads(entries[name])
    change(tree)
    return packed({**entries, name: json.dumps(tree).encode()})


def _graph(tree: Any) -> Any:
    return tree["graph_module"]["graph"]


def _target(name: str, *inputs: Any) -> Change:
    def change(tree: Any) -> None:
        node = _graph(tree)["nodes"][0]
        node["target"] = name
        if inputs:
            node["inputs"] = [{"name": key, "arg": arg, "kind": 1} for key, arg in inputs]

    return change


def _size(text: str) -> Change:
    def change(tree: Any) -> None:
        value = next(iter(_graph(tree)["tensor_values"].values()))
        value["sizes"][0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 32}}}

    return change


def _name(text: str) -> Change:
    def change(tree: Any) -> None:
        _graph(tree)["nodes"][-1]["outputs"][0]["as_tensor"]["name"] = text

    return change


def _first(tree: Any) -> Any:
    return next(iter(tree["config"].values()))


def _meta(**values: Any) -> Change:
    return lambda tree: _first(tree)["tensor_meta"].update(values)


def _renamed(path: str) -> Change:
    return lambda tree: tree["config"].update({path: _first(tree)})


def _nested(tree: Any) -> None:
    inner: Any = {}
    for _ in range(200):
        inner = {"as_graph": {"name": "g", "graph": inner}}
    _graph(tree)["nodes"][0]["inputs"][0]["arg"] = inner


_FULL = (("size", {"as_ints": [2**20, 2**20]}), ("fill_value", {"as_int": 1}))
_PROGRAMS: dict[str, Change] = {
    "an unsafe sparse tensor": _target("torch.ops.aten._sparse_coo_tensor_unsafe.default"),
    "an unsafe index": _target("torch.ops.aten._unsafe_index.Tensor"),
    "raw strides": _target("torch.ops.aten.as_strided.default"),
    "a file as a tensor": _target("torch.ops.aten.from_file.default", ("filename", {"as_string": "x"})),
    "a custom operator": _target("torch.ops.evil.run.default"),
    "os.system": _target("torch.os.system", ("command", {"as_string": "touch x"})),
    "a terabyte": _target("torch.ops.aten.full.default", *_FULL),
    "memory that was not cleared": _target("torch.ops.aten.empty.memory_format", _FULL[0]),
    "a size of 64 digits": _size("1" * 64),
    "a size of 64 digits and a letter": _size("1" * 64 + "x"),
    "a size that is Python": _size("__import__('os').system('touch x')"),
    "a size that is a tower of powers": _size("Pow(Integer(9), Pow(Integer(9), Integer(9)))"),
    "a name that is Python": _name("x = __import__('os')"),
    "graphs in graphs": _nested,
    "an integer of 4,000 digits": lambda tree: tree["opset_version"].update(aten=10**4_000),
    "NaN as a number": lambda tree: tree["opset_version"].update(aten=float("nan")),
    "a custom object": _target(
        "torch.ops.aten.relu.default", ("self", {"as_custom_obj": {"name": "x", "class_fqn": "E"}})
    ),
    "guards": lambda tree: tree.update(guards_code=["__import__('os').system('touch x')"]),
}
_TENSORS: dict[str, Change] = {
    "a weight of a terabyte": _meta(sizes=[{"as_int": 2**38}, {"as_int": 8}]),
    "a weight with a negative stride": _meta(strides=[{"as_int": -8}, {"as_int": 1}]),
    "a weight far outside": _meta(storage_offset={"as_int": 2**40}),
    "a weight repeated for ever": _meta(sizes=[{"as_int": 2**40}] * 2, strides=[{"as_int": 0}] * 2),
    "a weight of another type": _meta(dtype=5),
    "a weight that is sparse": _meta(layout=1),
    "a weight that is pickled": lambda tree: _first(tree).update(use_pickle=True),
    "a weight from elsewhere": lambda tree: _first(tree).update(path_name="../../../../etc/passwd"),
    "a weight that is a method": _renamed("__class__.forward"),
}
_ENTRIES: dict[str, dict[str, bytes]] = {
    "legacy weights, a pickle": {"data/weights/model.pt": pickle.dumps(print)},
    "native code": {"data/aotinductor/model/x.so": b"\x7fELF"},
    "a path out of the archive": {"../../x": b"x"},
    "brackets without end": {PROGRAM: b"[" * 1_000_000},
    "40 MB of JSON": {PROGRAM: b"[" + b"0," * 20_000_000 + b"0]"},
}


def _zips(good: bytes, entries: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in {**entries, "data/weights/weight_99": bytes(200_000_000)}.items():
            archive.writestr(f"model/{name}", value)
    yield "a packed entry of 200 MB", out.getvalue()

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in entries.items():
            archive.writestr(f"model/{name}", value)
        archive.writestr("other/" + PROGRAM, b"{}")
    yield "an entry that stands twice", out.getvalue()

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in entries.items():
            archive.writestr(f"model/{name}", value)
        archive.writestr("model/data/weights/weight_900", bytes(1_000_000))
        same = archive.infolist()[-1]
        for n in range(901, 1_900):
            again = zipfile.ZipInfo(f"model/data/weights/weight_{n}")
            again.header_offset, again.CRC = same.header_offset, same.CRC
            again.file_size = again.compress_size = same.file_size
            archive.filelist.append(again)
    yield "a thousand entries of the same bytes", out.getvalue()

    locked = bytearray(good)
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = locked.find(sign)
        struct.pack_into("<H", locked, at + place, 1)
    yield "an entry that is encrypted", bytes(locked)
    yield "half an archive", good[: len(good) // 2]
    yield "nothing", b""
