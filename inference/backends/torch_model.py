"""What torch runs, on a CPU or a CUDA device: a matrix in, scores out."""

from collections.abc import Callable

import numpy as np
import torch

from inference.backends.backend import Shapes, Submit
from inference.backends.cuda_staging import CudaStaging
from inference.backends.devices import cpu_threads
from inference.backends.torch_errors import by_kind


class TorchModel:
    """A function of a float32 tensor [rows, features] as a `Backend`.

    On a CPU it takes `cpu_threads` (process-wide, torch knows no other way).

    Attributes
    ----------
    submit
        See `Backend`; None on a CPU, where a call computes.
    """

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor], shapes: Shapes, device: str = "cpu") -> None:
        self.shapes = shapes
        self.submit: Submit | None = None
        self._run, self._device = run, device
        if device == "cpu":
            torch.set_num_threads(cpu_threads())
        else:
            self.submit = CudaStaging(run, device).submit

    @torch.inference_mode()
    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Run one batch; see `Backend`."""
        if self.submit is not None:
            return self.submit(matrix)()
        with by_kind(self._device):
            out: torch.Tensor = self._run(torch.tensor(matrix, device=self._device))
            scores: np.ndarray = out.to("cpu", torch.float32).numpy()
        return scores

    def health(self) -> str:
        """A model here answers whenever it is called; a lost device is told by the first call that meets it."""
        return ""
