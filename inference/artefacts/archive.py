"""A torch.export archive, made harmless before torch reads it.

`torch.export.load` runs what an archive says in more ways than one: example inputs, legacy weights, custom and
opaque objects are unpickled; shapes are text that sympy evaluates; guards and the names of nodes become Python
source; an operator is any attribute that a dotted path reaches from `torch`. So nothing of the file is handed on as
it came. What a tensor program needs is read here, checked word by word against what torch itself writes, and
written to a new archive; everything else is refused, or left behind where torch can do without it.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from inference.artefacts.errors import ArtefactError
from inference.package import ModelPackage

# Tensor operators, arithmetic of sizes, and what `torch.cond` and `with torch.no_grad()` or autocast leave.
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!(?:save|from_file)\.)\w+\.\w+"
    r"|_operator\.(?:add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|torch\.sym_(?:int|float|not|max|min|sqrt)"
    r"|torch\.ops\.higher_order\.(?:cond|wrap_with_set_grad_enabled|wrap_with_autocast)"
)
# Sizes as sympy spells them: symbols, sums, products, integers.
_EXPRESSION = re.compile(
    r"(?:Symbol\('[a-z]+\d+'(?:, [a-z]+=(?:True|False))*\)|(?:Add|Mul|Integer|Max|Min)\(|-?\d+|[(), ])+"
)
_IDENTIFIER = re.compile(r"(?:[A-Za-z_]\w*)?", re.ASCII)
_PATH = re.compile(r"[\w.]*", re.ASCII)  # of a weight in its module: layers.0.weight
_MODE = re.compile(r"[\w,>. -]{0,200}", re.ASCII)  # "tanh", "floor", "bij,bjk->bik"
_VERSION = re.compile(r"[\w.+-]{0,40}", re.ASCII)

_STRINGS = {
    "target": _OPERATOR,
    "as_operator": _OPERATOR,
    "expr_str": _EXPRESSION,
    "as_string": _MODE,
    "as_strings": _MODE,
    "parameter_name": _PATH,
    "buffer_name": _PATH,
    "tensor_constant_name": _PATH,
    "as_float": re.compile(r"-?Infinity|NaN"),
    "as_floats": re.compile(r"-?Infinity|NaN"),
}
_CODE = ("custom_obj", "as_custom_obj", "class_fqn")

_LEAF: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
_ONE_TENSOR_IN = [
    1,
    {
        "type": "builtins.tuple",
        "context": "null",
        "children_spec": [
            {"type": "builtins.tuple", "context": "null", "children_spec": [_LEAF]},
            {"type": "builtins.dict", "context": "[]", "children_spec": []},
        ],
    },
]
_ONE_TENSOR_OUT = [1, _LEAF]

_FLOAT32 = 7
_PAYLOAD = re.compile(r"data/(?:weights/weight|constants/tensor)_\d+")
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PROGRAM = "models/model.json"
_UNREAD = re.compile(r"archive_format|archive_version|byteorder|\.data/.*|extra/.*|data/sample_inputs/model\.pt")
# Empty example inputs: torch unpickles none.
_OURS = {
    "archive_format": b"pt2",
    "archive_version": b"0",
    "byteorder": b"little",
    ".data/version": b"3\n",
    "data/sample_inputs/model.pt": b"",
}


class Program(msgspec.Struct, frozen=True):
    """A harmless archive and the shape of its one input; ``rows`` is None where the program takes any number."""

    archive: bytes
    rows: int | None
    features: int


def read_program(file: str | Path) -> Program:
    """Read an archive without unpickling, evaluating or importing anything.

    Raises
    ------
    ArtefactError
        The archive holds something that torch would run, or is no program of one float32 matrix to one tensor.
    """
    try:
        records = _records(Path(file))
        program = _harmless(_json(records, _PROGRAM))
        configs = {name: _payloads(_json(records, name), name, records) for name in _CONFIGS}
        rows, features = _input_shape(program["graph_module"])
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ArtefactError(f"{file}: {error}; is it an archive that torch.export.save wrote?") from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ArtefactError(f"{file}: not laid out as torch.export.save does it ({error!r}); export it anew") from error
    except ArtefactError as error:
        raise ArtefactError(f"{file}: {error}") from error
    payloads = {name: value for name, value in records.items() if _PAYLOAD.fullmatch(name)}
    texts = {name: json.dumps(tree).encode() for name, tree in {_PROGRAM: program, **configs}.items()}
    return Program(_zip(_OURS | texts | payloads), rows, features)


def fit(package: ModelPackage, program: Program, file: Path) -> None:
    """Refuse a program whose shape is not the package's."""
    if program.features != len(package.inputs):
        raise ArtefactError(f"{file}: takes {program.features} features, model.toml lists {len(package.inputs)} inputs")
    if program.rows not in (None, package.limits.batch_rows):
        raise ArtefactError(
            f"{file}: exported for batches of {program.rows} rows, model.toml says limits.batch_rows = "
            f"{package.limits.batch_rows}; make them equal"
        )


def _records(file: Path) -> dict[str, bytes]:
    """Entries by name, without the folder that all of them lie in."""
    with zipfile.ZipFile(file) as archive:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            name = entry.filename.partition("/")[2]
            if name in entries or entry.compress_type != zipfile.ZIP_STORED:
                raise ArtefactError(f"entry {name!r} stands twice or is compressed, which torch.export.save never does")
            if not (name in _CONFIGS or name == _PROGRAM or _PAYLOAD.fullmatch(name) or _UNREAD.fullmatch(name)):
                raise ArtefactError(f"entry {name!r} could run code when loaded; export a model of plain tensors")
            entries[name] = entry
        return {name: archive.read(entry) for name, entry in entries.items() if not _UNREAD.fullmatch(name)}


def _json(records: dict[str, bytes], name: str) -> Any:
    if name not in records:
        raise ArtefactError(f"entry {name!r} is missing; export one program with torch.export.save")
    try:
        return json.loads(records[name])
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"entry {name!r} is no JSON: {error}") from None


def _harmless(program: dict[str, Any]) -> dict[str, Any]:
    """Rebuild a program from the parts that running it needs."""
    module = program["graph_module"]
    root = module["module_call_graph"][0]["signature"]
    for key, want in (("in_spec", _ONE_TENSOR_IN), ("out_spec", _ONE_TENSOR_OUT)):
        if json.loads(root[key]) != want:
            raise ArtefactError("the program must take one float32 [rows, features] tensor and return one tensor")
    signature = {
        "inputs": [],
        "outputs": [],
        "in_spec": json.dumps(_ONE_TENSOR_IN),
        "out_spec": json.dumps(_ONE_TENSOR_OUT),
        "forward_arg_names": _checked(root.get("forward_arg_names"), "name"),
    }
    return {
        "graph_module": {
            "graph": _checked(module["graph"], "graph"),
            "signature": _checked(module["signature"], "signature"),
            "module_call_graph": [{"fqn": "", "signature": signature}],
            "metadata": {},
            "treespec_namedtuple_fields": {},
        },
        "opset_version": _checked(program["opset_version"], "opset_version"),
        "range_constraints": _checked(program["range_constraints"], "range_constraints"),
        "schema_version": _checked(program["schema_version"], "schema_version"),
        "verifiers": _checked(program.get("verifiers", []), "verifiers"),
        "torch_version": _text(program.get("torch_version", ""), _VERSION, "torch_version"),
        "guards_code": [],
    }


def _checked(tree: Any, key: str) -> Any:
    """Copy a tree whose every word is of the kind that its place allows."""
    if isinstance(tree, dict):
        for code in _CODE:
            if code in tree:
                raise ArtefactError(f"the program holds a custom object ({code}); export a model of plain tensors")
        return {
            _text(name, _IDENTIFIER, key): {} if name == "metadata" and "target" in tree else _checked(value, name)
            for name, value in tree.items()
        }
    if isinstance(tree, list):
        return [_checked(value, key) for value in tree]
    if isinstance(tree, str):
        return _text(tree, _STRINGS.get(key, _IDENTIFIER), key)
    return tree


def _text(value: str, allowed: re.Pattern[str], key: str) -> str:
    if not allowed.fullmatch(value):
        raise ArtefactError(f"{key} {value[:80]!r} is more than a tensor program needs and could run code; refused")
    return value


def _payloads(config: dict[str, Any], name: str, records: dict[str, bytes]) -> dict[str, Any]:
    """Check the table of weights or constants: raw bytes, each of them in the archive."""
    folder = name.rpartition("/")[0]
    out = {}
    for path, payload in config["config"].items():
        if payload["use_pickle"] is not False or payload["tensor_meta"] is None:
            raise ArtefactError(f"{name}: {path!r} is pickled; export a model of plain tensors")
        record = f"{folder}/{payload['path_name']}"
        if not _PAYLOAD.fullmatch(record) or record not in records:
            raise ArtefactError(f"{name}: {path!r} lies at {record[:80]!r}, which is no tensor of this archive")
        out[_text(path, _PATH, "weight")] = {
            "path_name": payload["path_name"],
            "is_param": payload["is_param"] is True,
            "use_pickle": False,
            "tensor_meta": _checked(payload["tensor_meta"], "tensor_meta"),
        }
    return {"config": out}


def _input_shape(module: dict[str, Any]) -> tuple[int | None, int]:
    inputs = [spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec]
    meta = module["graph"]["tensor_values"][inputs[0]["as_tensor"]["name"]]
    sizes = [size.get("as_int") for size in meta["sizes"]]
    if len(inputs) != 1 or len(sizes) != 2 or sizes[1] is None or meta["dtype"] != _FLOAT32:
        raise ArtefactError("the program must take one float32 [rows, features] tensor, its features fixed in number")
    return sizes[0], sizes[1]


def _zip(records: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, value in records.items():
            archive.writestr(f"model/{name}", value)
    return out.getvalue()
