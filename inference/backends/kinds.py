"""Kinds of model files: one row a kind. A row imports what runs the file when it is asked to, not before."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inference.backends.backend import Backend, Shapes
from inference.backends.errors import UntrustedCodeError
from inference.backends.pt2_archive import Program, fit, read_program
from inference.backends.trial import ONNX_RUNTIME, try_out
from inference.packages.model_toml import ModelPackage, Variant

if TYPE_CHECKING:
    from inference.backends.onnx_program import OnnxProgram


class Kind(NamedTuple):
    """A kind of model file.

    Parameters
    ----------
    suffix
        Of the file.
    title, example
        What people call it, and an artefact of it: an artefact is of a kind if it has its suffix and as many parts.
    inspect
        Refuses a file that could not be loaded, without running it in this process; `driftline model add` asks it.
    load
        Loads the file onto a device; its last argument says whether code may run.
    rows
        Rows of the one batch that a file takes; None where it takes any number.
    variants
        In which ways its model can be computed; `inference.backends.variants` has what they mean.
    """

    suffix: str
    title: str
    example: str
    inspect: Callable[[ModelPackage, Path], object]
    load: Callable[[ModelPackage, Path, str, bool], Backend]
    rows: Callable[[Path], int | None]
    variants: tuple[Variant, ...] = ("fp32",)


def kind_of(artefact: str) -> Kind | None:
    """The kind of an artefact, by how it is spelled; None where it is of none.

    >>> kind_of("model.pt2").title, kind_of("model.py:Churn").title, kind_of("model.py")
    ('a torch.export archive', 'a Python class', None)
    """
    name, *inside = artefact.split(":")
    if not all(inside):
        return None
    return next((k for k in KINDS if name.endswith(k.suffix) and len(inside) == k.example.count(":")), None)


def files_of(artefact: str) -> tuple[str, ...]:
    """The files that an artefact names.

    >>> files_of("model.pt2"), files_of("model.safetensors:network.py:Net")
    (('model.pt2',), ('model.safetensors', 'network.py'))
    """
    name, *inside = artefact.split(":")
    return name, *inside[:-1]


def spellings() -> str:
    """How an artefact may be spelled, for a refusal.

    >>> spellings().split(", ")[-1]
    'a Python class (model.py:Class) or a server (remote.toml)'
    """
    *others, last = (f"{kind.title} ({kind.example})" for kind in KINDS)
    return f"{', '.join(others)} or {last}"


def rows_of(artefact: str, folder: Path) -> int | None:
    """Rows of the one batch that a model file takes; None where it takes any number.

    Raises
    ------
    ArtefactError
        The file cannot be read.
    """
    kind = kind_of(artefact)
    assert kind is not None, artefact
    return kind.rows(folder / artefact.partition(":")[0])


def _inspect_archive(package: ModelPackage, file: Path) -> Program:
    """Read a program, and run it once in a process that may die; no torch in this one."""
    program = read_program(file)
    fit(package, program, file)
    try_out(program, package.limits.shapes, file)
    return program


def _load_archive(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:  # noqa: ARG001
    program = _inspect_archive(package, file)
    from inference.backends.torch_export import Pt2Model  # brings torch, seconds of it

    return Pt2Model(program, file, Shapes(package.limits.shapes), device, package.variant)


def _archive_rows(file: Path) -> int | None:
    return read_program(file).rows


def _inspect_onnx(package: ModelPackage, file: Path) -> "OnnxProgram":
    """Read a graph, and run it once in a process that may die; no ONNX Runtime in this one."""
    from inference.backends.onnx_program import read_onnx  # brings NumPy and protobuf

    program = read_onnx(package, file)
    try_out(program, package.limits.shapes, file, ONNX_RUNTIME)
    return program


def _load_onnx(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:  # noqa: ARG001
    program = _inspect_onnx(package, file)
    from inference.backends.onnx_model import OnnxModel  # brings ONNX Runtime

    return OnnxModel(program, file, Shapes(package.limits.shapes), device)


def _onnx_rows(file: Path) -> int | None:
    from inference.backends.onnx_program import rows_in

    return rows_in(file)


def _inspect_nothing(package: ModelPackage, file: Path) -> None:
    """What a class needs is known once it runs, and nobody has vouched for it yet."""


def _load_class(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:
    from inference.backends.python_class import PythonModel  # brings NumPy

    return PythonModel(package, file, device, trust_code=trust_code)


def _any_rows(file: Path) -> None:
    """How many rows code or a server takes is not known before it runs."""


def _inspect_remote(package: ModelPackage, file: Path) -> None:
    """Read what it says; the server need not be there."""
    from inference.backends.remote.reading import fit, read_remote

    fit(read_remote(file), package, file)


def _load_remote(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:  # noqa: ARG001
    if not trust_code:
        raise UntrustedCodeError(
            f"{file}: {package.name} {package.version} sends its rows, and secrets of this machine, to a server that "
            "a package names which is not this machine's own; read it, then pass --trust-code"
        )
    from inference.backends.remote.remote_model import Remote  # brings urllib3 or gRPC

    return Remote.from_file(package, file)


def _inspect_weights(package: ModelPackage, file: Path) -> None:
    from inference.backends.safetensors_module import inspect_weights

    inspect_weights(package, file)


def _load_module(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:
    from inference.backends.safetensors_module import load_module

    return load_module(package, file, device, trust_code)


def _load_compiled(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:
    from inference.backends.aoti_package import load_compiled

    return load_compiled(package, file, device, trust_code)


def _inspect_compiled(package: ModelPackage, file: Path) -> None:
    from inference.backends.aoti_package import inspect_compiled

    inspect_compiled(package, file)


_VARIANTS: tuple[Variant, ...] = ("fp32", "bf16", "fp16", "int8", "compile")
_MODULE = ("weights and a module", "model.safetensors:module.py:Class")
_COMPILED = ("an AOTInductor package", "model.aoti.pt2")
#: The first whose suffix fits holds.
KINDS = (
    Kind(".aoti.pt2", *_COMPILED, _inspect_compiled, _load_compiled, _any_rows),
    Kind(".pt2", "a torch.export archive", "model.pt2", _inspect_archive, _load_archive, _archive_rows, _VARIANTS),
    Kind(".onnx", "an ONNX file", "model.onnx", _inspect_onnx, _load_onnx, _onnx_rows),
    Kind(".safetensors", *_MODULE, _inspect_weights, _load_module, _any_rows),
    Kind(".py", "a Python class", "model.py:Class", _inspect_nothing, _load_class, _any_rows),
    Kind(".toml", "a server", "remote.toml", _inspect_remote, _load_remote, _any_rows),
)
