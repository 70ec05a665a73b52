"""Kinds of model files, one file a kind, behind one small Protocol.

`model.pt2` is a torch.export archive: `archive` reads what is harmless of it, `trial` runs it once in a process that
may die, `pt2` runs it. `model.py:Class` is a Python class: code, and only run where somebody vouches for it.
"""

from pathlib import Path

from inference.backends.backend import Model
from inference.backends.errors import ArtefactError, ModelExit, UntrustedCodeError, contained, error_text
from inference.backends.pt2_archive import Program, fit, read_program
from inference.backends.trial import try_out
from inference.packages.model_toml import ModelPackage

__all__ = [
    "ArtefactError",
    "Model",
    "ModelExit",
    "UntrustedCodeError",
    "contained",
    "error_text",
    "inspect_artefact",
    "load_artefact",
]


def inspect_artefact(package: ModelPackage, folder: Path) -> None:
    """Refuse a model file that could not be loaded, without loading it in this process (and without torch)."""
    file = _file(package, folder)
    if file.suffix == ".pt2":
        _tried(package, file)


def load_artefact(package: ModelPackage, folder: Path, device: str = "cpu", *, trust_code: bool = False) -> Model:
    """Load the model file of a package.

    Parameters
    ----------
    device
        What `inference.backends.devices.device` gives.
    trust_code
        Run a Python class; archives need no trust.
    """
    file = _file(package, folder)
    if file.suffix == ".pt2":
        program = _tried(package, file)
        from inference.backends.torch_export import Pt2Model  # brings torch, seconds of it

        return Pt2Model(program, file, device)
    from inference.backends.python_class import PythonModel  # brings NumPy

    return PythonModel(package, file, device, trust_code=trust_code)


def _tried(package: ModelPackage, file: Path) -> Program:
    """Read a program, and run it once in a process that may die."""
    program = read_program(file)
    fit(package, program, file)
    try_out(program, package.limits.batch_rows, file)
    return program


def _file(package: ModelPackage, folder: Path) -> Path:
    name, _, inside = package.artefact.partition(":")
    file = folder / name
    if (file.suffix, bool(inside)) not in ((".pt2", False), (".py", True)):
        raise ArtefactError(f"artefact {package.artefact!r}: name a torch.export archive (x.pt2) or a class (x.py:X)")
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ArtefactError(f"{file}: a link that leads out of the package; put the file itself there")
    if not file.is_file():
        raise ArtefactError(f"{file}: no such file, which artefact = {package.artefact!r} names; put it there")
    return file
