"""Kinds of model files, one file a kind, behind one small Protocol; `inference.backends.kinds` has a row for each.

`model.pt2` is a torch.export archive: `inference.backends.pt2_archive` reads what is harmless of it,
`inference.backends.trial` runs it once in a process that may die, `inference.backends.torch_export` runs it.
`model.onnx` is an ONNX file: `inference.backends.onnx_file` makes it harmless, `inference.backends.onnx_program` fits
it to the package, `inference.backends.onnx_model` runs it.
Code is only run where somebody vouches for it (`inference.backends.code`): a Python class (`model.py:Class`), weights
and the module that they are of (`inference.backends.safetensors_module`), native code
(`inference.backends.aoti_package`). `remote.toml` names a server that has the model, and is believed like code
(`inference.backends.remote`).
"""

from pathlib import Path

from inference.backends.backend import Backend, Shapes
from inference.backends.errors import (
    ArtefactError,
    Fatal,
    ModelExit,
    OutOfMemory,
    Unavailable,
    UntrustedCodeError,
    contained,
    error_text,
)
from inference.backends.fixed_scores import FixedScores
from inference.backends.kinds import Kind, files_of, kind_of, spellings
from inference.packages.model_toml import ModelPackage

__all__ = [
    "ArtefactError",
    "Backend",
    "Fatal",
    "FixedScores",
    "ModelExit",
    "OutOfMemory",
    "Shapes",
    "Unavailable",
    "UntrustedCodeError",
    "contained",
    "error_text",
    "inspect_artefact",
    "load_artefact",
]


def inspect_artefact(package: ModelPackage, folder: Path) -> None:
    """Refuse a model file that could not be loaded, without loading it in this process (and without torch)."""
    kind, file = _kind_and_file(package, folder)
    kind.inspect(package, file)


def load_artefact(package: ModelPackage, folder: Path, device: str = "cpu", *, trust_code: bool = False) -> Backend:
    """Load the model file of a package.

    Parameters
    ----------
    package, folder
        The package and where its files lie.
    device
        What `inference.backends.devices.device` gives.
    trust_code
        Run code: a Python class, a module, an AOTInductor package. Archives and ONNX files need no trust.
    """
    kind, file = _kind_and_file(package, folder)
    return kind.load(package, file, device, trust_code)


def _kind_and_file(package: ModelPackage, folder: Path) -> tuple[Kind, Path]:
    kind = kind_of(package.artefact)
    if kind is None:
        raise ArtefactError(f"artefact {package.artefact!r}: name {spellings()}")
    if package.variant not in kind.variants:
        known = ", ".join(kind.variants)
        raise ArtefactError(
            f"variant {package.variant!r}: {kind.title} is computed as {known}; take it out of model.toml"
        )
    files = [folder / name for name in files_of(package.artefact)]
    for file in files:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ArtefactError(f"{file}: a link that leads out of the package; put the file itself there")
        if not file.is_file():
            raise ArtefactError(f"{file}: no such file, which artefact = {package.artefact!r} names; put it there")
    return kind, files[0]
