"""A torch.export archive, made harmless before torch reads it.

`torch.export.load` runs what an archive says in more ways than one: example inputs, legacy weights, custom and
opaque objects are unpickled; shapes are text that sympy evaluates; guards and the names of nodes become Python
source; an operator is any attribute that a dotted path reaches from `torch`. So nothing of the file is handed on as
it came. What a tensor program needs is read here, checked word by word against what torch itself writes, and
written to a new archive; everything else is refused, or left behind where torch can do without it.

==============  ====================================================================================================
what            how it is bounded
==============  ====================================================================================================
file            entries are stored, not compressed; together no larger than the file, so nothing is unpacked
program         JSON of at most `PROGRAM_BYTES_MAX`; its integers fit 64 bits, its strings are identifiers
operators       those of `inference.backends.pt2_operators`, by overload
sizes           `inference.backends.pt2_expressions`
weights         `inference.backends.pt2_payloads`: each within its own bytes
devices         all are the CPU: whoever loads the program moves it
==============  ====================================================================================================

What is left, a kernel of torch's that does not check its arguments, or a program that takes all memory, is for
`inference.backends.trial`.
"""

import io
import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from inference.backends.errors import ArtefactError
from inference.backends.fixed_rows import fit_rows
from inference.backends.pt2_expressions import check_size
from inference.backends.pt2_operators import ALLOWED
from inference.backends.pt2_payloads import PATH, PAYLOAD, payloads
from inference.packages.model_toml import ModelPackage

#: The JSON of a program, ten thousand operators long.
PROGRAM_BYTES_MAX = 33_554_432
ENTRIES_MAX = 100_000
_IDENTIFIER = re.compile(r"(?:[A-Za-z_]\w*)?", re.ASCII)
_MODE = re.compile(r"[\w,:;<>=(). -]{0,300}", re.ASCII)  # "tanh", "bij,bjk->bik", what an assertion says
_VERSION = re.compile(r"[\w.+-]{0,40}", re.ASCII)

_STRINGS = {
    "as_string": _MODE,
    "as_strings": _MODE,
    "parameter_name": PATH,
    "buffer_name": PATH,
    "tensor_constant_name": PATH,
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
_STRIDED = 7
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
        records = _entries(Path(file))
        program = _harmless(_json(records, _PROGRAM))
        configs = {name: payloads(_json(records, name), name, records) for name in _CONFIGS}
        rows, features = _input_shape(program["graph_module"])
    except ArtefactError as error:
        raise ArtefactError(f"{file}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise ArtefactError(
            f"{file}: not laid out as torch.export.save does it ({repr(error)[:200]}); export it anew"
        ) from error
    tensors = {name: value for name, value in records.items() if PAYLOAD.fullmatch(name)}
    texts = {name: json.dumps(tree).encode() for name, tree in {_PROGRAM: program, **configs}.items()}
    return Program(_zip(_OURS | texts | tensors), rows, features)


def fit(package: ModelPackage, program: Program, file: Path) -> None:
    """Refuse a program whose shape is not the package's.

    Parameters
    ----------
    package
        Says how many inputs there are, rows of a batch, and sizes that batches are filled up to.
    program
        As `read_program` gives it; its `rows` are None where a batch may have any number.
    file
        What a refusal calls it.
    """
    if program.features != len(package.inputs):
        raise ArtefactError(f"{file}: takes {program.features} features, model.toml lists {len(package.inputs)} inputs")
    fit_rows(package, program.rows, file)


def _entries(file: Path) -> dict[str, bytes]:
    """Entries by name, without the folder that all of them lie in."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _listed(archive, file.stat().st_size)
            return {name: archive.read(entry) for name, entry in entries.items()}
    except ArtefactError:
        raise
    # A damaged file makes the library raise nearly anything.
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error) as error:
        raise ArtefactError(f"{str(error)[:200]}; is it an archive that torch.export.save wrote?") from error


def _listed(archive: zipfile.ZipFile, size_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Entries that are read, none of them packed, and together no larger than the file."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if name in entries or entry.compress_type != zipfile.ZIP_STORED:
            raise ArtefactError(
                f"entry {name[:80]!r} stands twice or is compressed, which torch.export.save never does"
            )
        if not (name in _CONFIGS or name == _PROGRAM or PAYLOAD.fullmatch(name) or _UNREAD.fullmatch(name)):
            raise ArtefactError(f"entry {name[:80]!r} could run code when loaded; export a model of plain tensors")
        if name.endswith(".json") and entry.file_size > PROGRAM_BYTES_MAX:
            raise ArtefactError(
                f"entry {name!r} has {entry.file_size:,} bytes, at most {PROGRAM_BYTES_MAX:,} are read; export a "
                "smaller program"
            )
        entries[name] = entry
    if len(entries) > ENTRIES_MAX or sum(entry.file_size for entry in entries.values()) > size_bytes:
        raise ArtefactError("its entries are more, or larger, than the file; it is no archive of torch.export.save")
    return {name: entry for name, entry in entries.items() if not _UNREAD.fullmatch(name)}


def _json(records: dict[str, bytes], name: str) -> Any:
    if name not in records:
        raise ArtefactError(f"entry {name!r} is missing; export one program with torch.export.save")
    try:
        return json.loads(records[name], parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"entry {name!r} is no JSON: {str(error)[:200]}; export it anew") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} stands as a number, which torch.export.save writes as text")


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
        if key in ("device", "as_device"):
            return {"type": "cpu", "index": None}
        return {
            _text(name, _IDENTIFIER, key): {} if name == "metadata" and "target" in tree else _checked(value, name)
            for name, value in tree.items()
        }
    if isinstance(tree, list):
        return [_checked(value, key) for value in tree]
    if isinstance(tree, str):
        return _word(tree, key)
    if key in ("layout", "as_layout") and tree != _STRIDED:
        raise ArtefactError(f"{key} {tree!r}: a tensor that is sparse or packed; export a model of dense tensors")
    if isinstance(tree, int) and not -(2**63) <= tree < 2**63:
        raise ArtefactError(f"{key} is {str(tree)[:40]}, which fits no 64 bits; export it anew")
    return tree


def _word(text: str, key: str) -> str:
    """Check a string by its place."""
    if key == "expr_str":
        check_size(text)
        return text
    if key not in ("target", "as_operator"):
        return _text(text, _STRINGS.get(key, _IDENTIFIER), key)
    if text not in ALLOWED:
        raise ArtefactError(
            f"operator {text[:120]!r} is not among those that a model archive may use "
            "(inference/backends/pt2_operators.py says why): export the model without it, or load the archive in a "
            "class of your own (model.py:Class), which runs as trusted code from a local folder or with --trust-code"
        )
    return text


def _text(value: str, allowed: re.Pattern[str], key: str) -> str:
    if not allowed.fullmatch(value):
        raise ArtefactError(f"{key} {value[:80]!r} is more than a tensor program needs and could run code; refused")
    return value


def _input_shape(module: dict[str, Any]) -> tuple[int | None, int]:
    inputs = [spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec]
    meta = module["graph"]["tensor_values"][inputs[0]["as_tensor"]["name"]]
    sizes = [size.get("as_int") for size in meta["sizes"]]
    if len(inputs) != 1 or len(sizes) != 2 or sizes[1] is None or meta["dtype"] != _FLOAT32:
        raise ArtefactError("the program must take one float32 [rows, features] tensor, its features fixed in number")
    return sizes[0], sizes[1]


def _zip(records: dict[str, bytes]) -> bytes:
    """An archive of records; the same records give the same bytes, whenever they are written."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, value in records.items():
            # An entry's own date is fixed; a name alone would take the clock's.
            archive.writestr(zipfile.ZipInfo(f"model/{name}"), value)
    return out.getvalue()
