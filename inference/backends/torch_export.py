"""A torch.export archive on a CPU or a CUDA device."""

import io
import os
from pathlib import Path

import numpy as np
import torch
from torch.export.passes import move_to_device_pass

from inference.backends.backend import Shapes
from inference.backends.devices import cpu_threads
from inference.backends.errors import ArtefactError
from inference.backends.pt2_archive import Program
from inference.backends.torch_errors import by_kind
from inference.backends.variants import as_variant

# Behind the inspection of archives: whatever torch unpickles in this process, it unpickles tensors only.
os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


class Pt2Model:
    """A program that torch.export wrote; inspected, rebuilt and tried out before it runs here.

    On a CPU it takes `cpu_threads` (process-wide, torch knows no other way).
    """

    def __init__(
        self, program: Program, file: Path, shapes: Shapes, device: str = "cpu", variant: str = "fp32"
    ) -> None:
        self.shapes = shapes
        if device == "cpu":
            torch.set_num_threads(cpu_threads())
        try:
            exported = torch.export.load(io.BytesIO(program.archive))
            module = move_to_device_pass(exported, device).module(check_guards=False)
        except Exception as error:  # torch raises anything, down to KeyError and SyntaxError
            raise ArtefactError(f"{file}: torch {torch.__version__} cannot load it: {error}; export it anew") from error
        try:
            self._run = as_variant(module, variant, device)
        except ValueError as error:
            raise ArtefactError(f"{file}: variant {variant!r}: {error}; take it out of model.toml") from error
        self._device = device

    @torch.inference_mode()
    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Run one batch; see `Backend`."""
        with by_kind(self._device):
            out: torch.Tensor = self._run(torch.tensor(matrix, device=self._device))
            scores: np.ndarray = out.to("cpu", torch.float32).numpy()
        return scores

    def health(self) -> str:
        """A program answers whenever it is called; a lost device is told by the first call that meets it."""
        return ""
