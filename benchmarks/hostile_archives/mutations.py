"""Archives changed at random: their bytes, their JSON, their weights. The same seed gives the same archives."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

from inference.backends.pt2_operators import ALLOWED

PROGRAM = "models/model.json"
TABLES = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_NUMBERS = (0, 1, -1, 2, 7, 33, 2**16, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63), 2**64)
_WORDS = (
    "",
    "__class__",
    "a.b",
    "os",
    "../x",
    "cuda",
    "meta",
    "sum",
    "floor",
    "ij,jk->ik",
    "x" * 3_000,
    "Symbol('s0')",
)
_OPERATORS = sorted(ALLOWED)
_STRANGE = (
    "torch.ops.aten.as_strided.default",
    "torch.ops.aten._sparse_coo_tensor_unsafe.default",
    "torch.ops.aten.item.default",
    "torch.ops.aten.empty.memory_format",
    "torch.os.system",
)


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Entries by name, without their folder."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {i.filename.partition("/")[2]: opened.read(i) for i in opened.infolist()}


def packed(entries: dict[str, bytes]) -> bytes:
    """An archive of these entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, value in entries.items():
            archive.writestr(f"model/{name}", value)
    return out.getvalue()


def mutated(archives: list[bytes], seed: int, n: int) -> tuple[str, bytes]:
    """The n-th archive of a seed, and the level at which it was changed."""
    draw = random.Random(f"{seed}/{n}")
    level = draw.choice(tuple(_LEVELS))
    return level, _LEVELS[level](draw.choice(archives), draw)


def _zip(archive: bytes, draw: random.Random) -> bytes:
    """Bytes turned, cut out or doubled, mostly where the zip says what is where."""
    data = bytearray(archive)
    for _ in range(draw.choice((1, 1, 2, 8))):
        tail = draw.random() < 0.7
        place = draw.randrange(max(0, len(data) - 2_000) if tail else 0, len(data))
        kind = draw.random()
        if kind < 0.7:
            data[place] = draw.randrange(256)
        elif kind < 0.85:
            del data[place : place + draw.choice((1, 4, 100))]
        else:
            data[place:place] = data[place : place + draw.choice((1, 46, 200))]
    return bytes(data)


def _graph(archive: bytes, draw: random.Random) -> bytes:
    """Values of the program replaced, most of them by others of their kind."""
    return _json_changed(archive, PROGRAM, draw, lambda tree: tree["graph_module"]["graph"])


def _weights(archive: bytes, draw: random.Random) -> bytes:
    """Shapes, types and bytes of weights."""
    if draw.random() < 0.3:
        entries = unpacked(archive)
        name = draw.choice([name for name in entries if "/weight_" in name or "/tensor_" in name] or [PROGRAM])
        value = entries[name]
        entries[name] = draw.choice((b"", value[: len(value) // 2], value * 2, bytes(255 for _ in value)))
        return packed(entries)
    return _json_changed(archive, draw.choice(TABLES), draw, lambda tree: tree["config"])


_LEVELS: dict[str, Callable[[bytes, random.Random], bytes]] = {"zip": _zip, "graph": _graph, "weights": _weights}


def _json_changed(archive: bytes, name: str, draw: random.Random, part: Callable[[Any], Any]) -> bytes:
    entries = unpacked(archive)
    tree = json.loads(entries[name])
    places = list(_places(part(tree)))
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        if places:
            holder, key = draw.choice(places)
            _change(holder, key, draw)
    entries[name] = json.dumps(tree).encode()
    return packed(entries)


def _places(tree: Any) -> Any:
    """Where the values of a tree are: the one that holds each, and its key there."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if key == "metadata":
            continue
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _change(holder: Any, key: Any, draw: random.Random) -> None:
    try:
        value = holder[key]
    except (KeyError, IndexError):  # an earlier change took it away
        return
    if isinstance(value, bool) or value is None:
        holder[key] = draw.choice((True, False, None, 1))
    elif isinstance(value, int):
        holder[key] = draw.choice((*_NUMBERS, value + 1, value - 1, value * 2))
    elif isinstance(value, float):
        holder[key] = draw.choice((0.0, -1.0, 1e308, float("nan"), float("inf")))
    elif isinstance(value, str) and key == "target":
        holder[key] = draw.choice(_OPERATORS if draw.random() < 0.7 else _STRANGE)
    elif isinstance(value, str):
        holder[key] = draw.choice(_WORDS)
    elif isinstance(value, list):
        holder[key] = draw.choice(([], value[:-1], value[::-1], value * 2))
    elif draw.random() < 0.3:
        del holder[key]
