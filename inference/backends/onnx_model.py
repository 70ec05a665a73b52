"""An ONNX graph on a CPU or a CUDA device."""

from pathlib import Path

import numpy as np
import onnxruntime

from inference.backends.backend import Shapes
from inference.backends.errors import ArtefactError, Fatal, first_line
from inference.backends.onnx_program import OnnxProgram
from inference.backends.onnx_session import by_kind, make_session


class OnnxModel:
    """A graph that ONNX Runtime computes; inspected, rebuilt and tried out before it runs here."""

    def __init__(self, program: OnnxProgram, file: Path, shapes: Shapes, device: str = "cpu") -> None:
        self.shapes = shapes
        self._columns, self._scores, self._device = program.columns, program.scores, device
        try:
            with by_kind(device):
                self._session = make_session(program.archive, device)
        except Fatal:
            raise
        except Exception as error:  # ONNX Runtime's own derive from it alone
            raise ArtefactError(
                f"{file}: ONNX Runtime {onnxruntime.__version__} cannot load it: {first_line(error)}; convert it anew"
            ) from error

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Run one batch; see `Backend`."""
        fed = self._columns(matrix)
        with by_kind(self._device):
            (out,) = self._session.run([self._scores.name], fed.inputs)
        scores = np.array(out, np.float32)
        if self._scores.columns is not None and scores.ndim == 2 and scores.shape[1] == len(self._scores.columns):
            scores = scores[:, self._scores.columns]
        if fed.unscored is not None:
            scores[fed.unscored] = np.nan
        return scores

    def health(self) -> str:
        """A graph answers whenever it is called; a lost device is told by the first call that meets it."""
        return ""
