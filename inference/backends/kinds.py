"""Kinds of model files: one row a kind. A row imports what runs the file when it is asked to, not before."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from inference.backends.backend import Backend, Shapes
from inference.backends.pt2_archive import Program, fit, read_program
from inference.backends.trial import try_out
from inference.packages.model_toml import ModelPackage


class Kind(NamedTuple):
    """A kind of model file.

    Parameters
    ----------
    suffix
        Of the file.
    names_class
        Whether an artefact of this kind names a class in the file: ``model.py:Class``.
    title, example
        What people call it, and an artefact of it.
    inspect
        Refuses a file that could not be loaded, without running it in this process; `driftline model add` asks it.
    load
        Loads the file onto a device; its last argument says whether code may run.
    """

    suffix: str
    names_class: bool
    title: str
    example: str
    inspect: Callable[[ModelPackage, Path], object]
    load: Callable[[ModelPackage, Path, str, bool], Backend]


def kind_of(artefact: str) -> Kind | None:
    """The kind of an artefact, by how it is spelled; None where it is of none.

    >>> kind_of("model.pt2").title, kind_of("model.py:Churn").title, kind_of("model.py")
    ('a torch.export archive', 'a Python class', None)
    """
    name, _, inside = artefact.partition(":")
    spelled = (Path(name).suffix, bool(inside))
    return next((kind for kind in KINDS if spelled == (kind.suffix, kind.names_class)), None)


def spellings() -> str:
    """How an artefact may be spelled, for a refusal.

    >>> spellings()
    'a torch.export archive (model.pt2) or a Python class (model.py:Class)'
    """
    return " or ".join(f"{kind.title} ({kind.example})" for kind in KINDS)


def _inspect_archive(package: ModelPackage, file: Path) -> Program:
    """Read a program, and run it once in a process that may die; no torch in this one."""
    program = read_program(file)
    fit(package, program, file)
    try_out(program, package.limits.shapes, file)
    return program


def _load_archive(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:  # noqa: ARG001
    program = _inspect_archive(package, file)
    from inference.backends.torch_export import Pt2Model  # brings torch, seconds of it

    return Pt2Model(program, file, Shapes(package.limits.shapes), device)


def _inspect_nothing(package: ModelPackage, file: Path) -> None:
    """What a class needs is known once it runs, and nobody has vouched for it yet."""


def _load_class(package: ModelPackage, file: Path, device: str, trust_code: bool) -> Backend:
    from inference.backends.python_class import PythonModel  # brings NumPy

    return PythonModel(package, file, device, trust_code=trust_code)


KINDS = (
    Kind(".pt2", False, "a torch.export archive", "model.pt2", _inspect_archive, _load_archive),
    Kind(".py", True, "a Python class", "model.py:Class", _inspect_nothing, _load_class),
)
