"""A package inside of another server: one float32 matrix ``x`` in, ``scores`` out, the same as a worker would give."""

from pathlib import Path

import numpy as np

from inference.backends import load_artefact
from inference.packages.model_toml import read_package
from inference.serving.scorer import Scorer

#: The tensors' names there.
INPUT, OUTPUT = "x", "scores"


class RowsRefused(ValueError):
    """Rows have no score; the text says which and why, and a server should answer 400."""


class Packaged:
    """Loads the package of a folder, whose code is trusted: it was exported from a registry by hand."""

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        package = read_package(folder)
        self._features = len(package.inputs)
        self._scorer = Scorer(package, load_artefact(package, Path(folder), device, trust_code=True))

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """Score float32 [rows, features] into float32 [rows, outputs].

        Raises
        ------
        RowsRefused
            The matrix is of another width, or a row has no score.
        """
        if matrix.ndim != 2 or matrix.shape[1] != self._features:
            raise RowsRefused(f"{INPUT} is of shape {list(matrix.shape)}, wanted [rows, {self._features}]")
        scores = self._scorer(np.ascontiguousarray(matrix, np.float32))
        for row, failure in sorted(scores.failures.items()):
            raise RowsRefused(f"row {row}: {failure.why}; {len(scores.failures)} rows have no score")
        return scores.values
