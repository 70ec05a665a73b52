"""A torch.export archive on a CPU or a CUDA device."""

import io
import os
from pathlib import Path

import torch
from torch.export.passes import move_to_device_pass

from inference.backends.backend import Shapes
from inference.backends.errors import ArtefactError
from inference.backends.pt2_archive import Program
from inference.backends.torch_model import TorchModel
from inference.backends.variants import as_variant

# Behind the inspection of archives: whatever torch unpickles in this process, it unpickles tensors only.
os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


class Pt2Model(TorchModel):
    """A program that torch.export wrote; inspected, rebuilt and tried out before it runs here."""

    def __init__(
        self, program: Program, file: Path, shapes: Shapes, device: str = "cpu", variant: str = "fp32"
    ) -> None:
        try:
            exported = torch.export.load(io.BytesIO(program.archive))
            module = move_to_device_pass(exported, device).module(check_guards=False)
        except Exception as error:  # torch raises anything, down to KeyError and SyntaxError
            raise ArtefactError(f"{file}: torch {torch.__version__} cannot load it: {error}; export it anew") from error
        try:
            run = as_variant(module, variant, device)
        except ValueError as error:
            raise ArtefactError(f"{file}: variant {variant!r}: {error}; take it out of model.toml") from error
        super().__init__(run, shapes, device)
