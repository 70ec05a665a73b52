"""A Python class as a model: the smallest there is, and code.

A `model.py` beside its `model.toml` holds a class, named in `artefact = "model.py:Fare"`:

.. code-block:: python

    class Fare:
        def load(self, device):            # once, before the first batch
            self.rate = 1.5

        def predict(self, batch):          # float32 [rows] or [rows, outputs]
            return batch["km"] * self.rate
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference.backends.backend import Shapes
from inference.backends.code import class_of, refuse_untrusted
from inference.backends.errors import ArtefactError, OutOfMemory, contained, error_text
from inference.packages.model_toml import ModelPackage
from streams.wire.schema import FeatureSchema

if TYPE_CHECKING:
    import pandas as pd


class Batch:
    """Rows as a Python class sees them: a column by name, or all of them as a pandas frame.

    >>> from streams.wire.schema import Feature
    >>> schema = FeatureSchema((Feature("km"), Feature("city", "categorical", categories=("Rome", "Oslo"))))
    >>> batch = Batch(np.array([[2, 1], [5, 2], [7, 3]], np.float32), schema)
    >>> batch["km"].tolist(), batch["city"].tolist()
    ([2.0, 5.0, 7.0], ['Oslo', '', None])
    >>> list(batch), len(batch), batch.frame().shape
    (['km', 'city'], 3, (3, 2))
    """

    def __init__(self, matrix: np.ndarray, schema: FeatureSchema) -> None:
        #: float32 [rows, features] in the order of `model.toml`, levels as codes; see `streams.wire.schema`.
        self.matrix = matrix
        self._schema = schema

    def __getitem__(self, name: str) -> np.ndarray:
        """A column: float32 [rows], NaN where missing (booleans are 0 and 1); a categorical one as text, object
        [rows], None where missing and empty where the level is unknown."""
        column: np.ndarray = self.matrix[:, self._schema.names.index(name)]
        if self._schema[name].kind != "categorical":
            return column
        return np.array([*self._schema[name].categories, "", None], object)[column.astype(np.int64)]

    def __iter__(self) -> Iterator[str]:
        """Names of the columns, in order."""
        return iter(self._schema.names)

    def __len__(self) -> int:
        """Rows."""
        return len(self.matrix)

    def frame(self) -> "pd.DataFrame":
        """All columns, for pipelines that were fitted on a frame."""
        import pandas as pd

        return pd.DataFrame({name: self[name] for name in self})


class PythonModel:
    """A class of the package's own Python file."""

    def __init__(self, package: ModelPackage, file: Path, device: str = "cpu", *, trust_code: bool = False) -> None:
        refuse_untrusted(package, file, "Python code", trust_code)
        self.shapes = Shapes(package.limits.shapes)
        self._schema = package.schema
        try:
            with contained():
                self._model = class_of(package, file, package.artefact.partition(":")[2], ("load", "predict"))()
                self._model.load(device)
        except ArtefactError:
            raise
        except Exception as error:  # its own code raises anything
            name = f"{package.name} {package.version}"
            raise ArtefactError(f"{file}: {name} fails while it is loaded: {error_text(error)}; mend it") from error

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Run one batch; see `Backend`."""
        try:
            scores = np.asarray(self._model.predict(Batch(matrix, self._schema)))
            if scores.dtype.kind not in "fiub":
                raise TypeError(f"predict() gave values of type {scores.dtype}; give numbers")
            return scores.astype(np.float32, copy=False)
        except MemoryError as error:
            raise OutOfMemory(error_text(error)) from error

    def health(self) -> str:
        """A class answers whenever it is called."""
        return ""
