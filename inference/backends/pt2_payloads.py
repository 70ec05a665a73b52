"""Weights and constants of an archive: raw bytes, each tensor within them."""

import re
from typing import Any

from inference.backends.errors import ArtefactError

PAYLOAD = re.compile(r"data/(?:weights/weight|constants/tensor)_\d{1,9}")
# Of a weight in its module, as layers.0.weight; a part that begins with two underscores is an attribute of Python's.
PATH = re.compile(r"(?!(?:.*\.)?__)[\w.]{0,1000}", re.ASCII)
#: Bytes of an element by the number of its type, as torch.export numbers them.
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2, 28: 2, 29: 1, 30: 1, 34: 4, 35: 8}
_STRIDED = 7
_CPU = {"type": "cpu", "index": None}
_DIMENSIONS_MAX = 64
_REPEATED_BYTES_MAX = 67_108_864


def payloads(config: dict[str, Any], name: str, records: dict[str, bytes]) -> dict[str, Any]:
    """Check the table of weights or constants, and rebuild it.

    Parameters
    ----------
    config, name
        The table, and the entry that it is in.
    records
        Entries of the archive by name.

    Raises
    ------
    ArtefactError
        One is pickled, not in the archive, or reaches out of its bytes.
    """
    folder = name.rpartition("/")[0]
    out = {}
    for path, payload in config["config"].items():
        if payload["use_pickle"] is not False or payload["tensor_meta"] is None:
            raise ArtefactError(f"{name}: {path[:80]!r} is pickled; export a model of plain tensors")
        record = f"{folder}/{payload['path_name']}"
        if not PAYLOAD.fullmatch(record) or record not in records:
            raise ArtefactError(f"{name}: {path[:80]!r} lies at {record[:80]!r}, which is no tensor of this archive")
        if not PATH.fullmatch(path):
            raise ArtefactError(f"{name}: weight {path[:80]!r} is no path of a module; rename it and export anew")
        meta = _meta(payload["tensor_meta"], len(records[record]), f"{name}: {path[:80]!r}")
        is_param = payload["is_param"] is True
        out[path] = {"path_name": payload["path_name"], "is_param": is_param, "use_pickle": False, "tensor_meta": meta}
    _same_type(out, name)
    return {"config": out}


def _same_type(config: dict[str, Any], name: str) -> None:
    """Weights that share bytes share their type: torch reads the bytes by the type of the first."""
    seen: dict[str, int] = {}
    for path, payload in config.items():
        dtype = payload["tensor_meta"]["dtype"]
        if seen.setdefault(payload["path_name"], dtype) != dtype:
            raise ArtefactError(f"{name}: {path[:80]!r} shares its bytes with a weight of another type; export anew")


def _meta(meta: dict[str, Any], size_bytes: int, where: str) -> dict[str, Any]:
    """Shape of a tensor, within its bytes; on the CPU, wherever it was exported."""
    sizes, strides = [_number(n) for n in meta["sizes"]], [_number(n) for n in meta["strides"]]
    offset, item = _number(meta["storage_offset"]), _ITEM_BYTES.get(meta["dtype"], 0)
    known = item and meta["layout"] == _STRIDED and len(sizes) == len(strides) <= _DIMENSIONS_MAX
    if not known or size_bytes % item:
        raise ArtefactError(f"{where} is no dense tensor of numbers; export a model of plain tensors")
    last = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    count = 1
    for n in sizes:
        count *= n
    if count and (last + 1) * item > size_bytes:
        raise ArtefactError(f"{where} is larger than its {size_bytes:,} bytes; the archive is damaged: export it anew")
    # A stride of 0 repeats elements without taking memory, until something makes them contiguous.
    if count * item > max(size_bytes, _REPEATED_BYTES_MAX):
        raise ArtefactError(f"{where} repeats its bytes; make it contiguous and export it anew")
    return {
        "dtype": meta["dtype"],
        "sizes": [{"as_int": n} for n in sizes],
        "requires_grad": meta["requires_grad"] is True,
        "device": _CPU,
        "strides": [{"as_int": n} for n in strides],
        "storage_offset": {"as_int": offset},
        "layout": _STRIDED,
    }


def _number(size: dict[str, Any]) -> int:
    value = size["as_int"]
    if type(value) is not int or not 0 <= value < 2**48:
        raise ArtefactError(f"a weight has a size, a stride or an offset of {str(value)[:40]}; export it anew")
    return value
