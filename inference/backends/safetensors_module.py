"""Weights in a safetensors file, and the network that they are of as a class in a Python file.

``artefact = "model.safetensors:network.py:Net"``. The weights are data, and no trouble; the class is code, and trusted
as a Python class is. It is a `torch.nn.Module` that is made without arguments:

.. code-block:: python

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 1)

        def forward(self, matrix):          # float32 [rows, features] to [rows, outputs]
            return torch.sigmoid(self.linear(matrix))
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from inference.backends.backend import Shapes
from inference.backends.code import class_of, refuse_untrusted
from inference.backends.errors import ArtefactError, contained, error_text
from inference.packages.model_toml import ModelPackage

if TYPE_CHECKING:
    from inference.backends.torch_model import TorchModel

_NAMES_MAX = 5


def inspect_weights(package: ModelPackage, file: Path) -> None:  # noqa: ARG001 - as the others take it
    """Refuse a file that holds no weights; the class does not run."""
    try:
        with safe_open(file, framework="numpy") as weights:
            weights.keys()
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtefactError(f"{file}: no safetensors file, or a damaged one ({error}); save it anew") from error


def load_module(package: ModelPackage, file: Path, device: str, trust_code: bool) -> "TorchModel":
    """Make the network, and give it the weights.

    Parameters
    ----------
    file
        With the weights; the Python file lies where the artefact says.
    device
        What `inference.backends.devices.device` gives.
    trust_code
        Whether the class may run.
    """
    _, source, name = package.artefact.split(":")
    folder = file.parents[len(Path(package.artefact.partition(":")[0]).parts) - 1]
    refuse_untrusted(package, folder / source, "Python code", trust_code)
    inspect_weights(package, file)
    from safetensors.torch import load_file

    from inference.backends.torch_model import TorchModel  # brings torch

    try:
        with contained():
            network = class_of(package, folder / source, name, ("load_state_dict", "forward"))()
            _fill(network, load_file(file), file)
            network = network.to(device).eval()
    except ArtefactError:
        raise
    except Exception as error:  # its own code raises anything
        version = f"{package.name} {package.version}"
        raise ArtefactError(f"{folder / source}: {version} fails while it is loaded: {error_text(error)}") from error
    return TorchModel(network, Shapes(package.limits.shapes), device)


def _fill(network: Any, weights: dict[str, Any], file: Path) -> None:
    """Give a network its weights: all of them, and no others."""
    there = network.state_dict()
    lacking, strange = sorted(there.keys() - weights.keys()), sorted(weights.keys() - there.keys())
    other = [name for name in sorted(there.keys() & weights.keys()) if there[name].shape != weights[name].shape]
    if lacking or strange or other:
        listed = (f"{what} {', '.join(names[:_NAMES_MAX])}" for what, names in
                  (("lacking", lacking), ("of no use", strange), ("of another shape", other)) if names)  # fmt: skip
        raise ArtefactError(f"{file}: not the weights of this class: {'; '.join(listed)}; save them of the same class")
    network.load_state_dict(weights)
