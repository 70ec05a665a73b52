"""An AOTInductor package: a network that torch has compiled to native code, for one kind of device.

It is code of the machine, run without a check, and trusted as a Python class is. It runs where it was compiled for: on
the CPU also where a worker has a GPU.
"""

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

from inference.backends.backend import Shapes
from inference.backends.code import refuse_untrusted
from inference.backends.errors import ArtefactError, first_line
from inference.packages.model_toml import ModelPackage

if TYPE_CHECKING:
    from inference.backends.torch_model import TorchModel


def inspect_compiled(package: ModelPackage, file: Path) -> None:  # noqa: ARG001 - as the others take it
    """Refuse what is no package of torch's; its code does not run."""
    if not is_zipfile(file):
        raise ArtefactError(f"{file}: no AOTInductor package; write it with torch._inductor.aoti_compile_and_package")


def load_compiled(package: ModelPackage, file: Path, device: str, trust_code: bool) -> "TorchModel":
    """Load the code for a device.

    Parameters
    ----------
    device
        What `inference.backends.devices.device` gives.
    trust_code
        Whether it may run.
    """
    refuse_untrusted(package, file, "native code", trust_code)
    inspect_compiled(package, file)
    import torch
    from torch._inductor import aoti_load_package

    from inference.backends.torch_model import TorchModel

    number = int(device.partition(":")[2] or 0) if device != "cpu" else -1
    try:
        compiled = aoti_load_package(str(file), device_index=number)
        meant = compiled.loader.get_metadata().get("AOTI_DEVICE_KEY", device)
    except Exception as error:  # torch raises anything
        raise ArtefactError(
            f"{file}: torch {torch.__version__} cannot load it: {first_line(error)}; compile it anew, with this "
            "version and on such a machine"
        ) from error
    return TorchModel(compiled, Shapes(package.limits.shapes), _device(meant, device, file))


def _device(meant: str, device: str, file: Path) -> str:
    """Where code that is meant for a kind of device runs."""
    if meant == device.partition(":")[0]:
        return device
    if meant == "cpu":
        return "cpu"
    raise ArtefactError(f"{file}: compiled for {meant}, and this worker has {device}; compile it for {device}")
