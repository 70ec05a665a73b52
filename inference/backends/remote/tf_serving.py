"""TF Serving's REST interface, which KServe's first protocol and Vertex AI's containers speak, too.

One tensor without a name travels as ``instances``, a row each; tensors with names as ``inputs``, by column.

References
----------
`RESTful API <https://www.tensorflow.org/tfx/serving/api_rest>`_, "Predict API".
"""

from typing import Any
from urllib.parse import quote

import numpy as np

from inference.backends.remote.failures import WrongAnswer
from inference.backends.remote.http_client import Answer
from inference.backends.remote.http_wire import JSON, HttpWire, Request
from inference.backends.remote.json_values import decoded, encoded, numbers
from inference.backends.remote.remote_toml import RemoteModel
from inference.backends.remote.tensors import Inputs, scores_of
from inference.packages.model_toml import ModelPackage

#: What an answer's only tensor is called here, which has no name there.
_ONLY = "predictions"


class TfServing(HttpWire):
    """A `Wire` of TF Serving's REST interface."""

    def __init__(self, remote: RemoteModel, package: ModelPackage) -> None:
        version = f"/versions/{quote(remote.version, safe='')}" if remote.version else ""
        super().__init__(remote, f"/v1/models/{quote(remote.model or package.name, safe='')}{version}:predict")
        self._inputs, self._outputs = Inputs(remote, package.schema), remote.outputs
        self._nan = remote.missing != "null"

    def request(self, matrix: np.ndarray) -> Request:
        """Write a batch."""
        tensors = self._inputs(matrix)
        if not tensors[0].name:
            return JSON, encoded({"instances": tensors[0].values.tolist()}, nan=self._nan)
        return JSON, encoded({"inputs": {tensor.name: tensor.values.tolist() for tensor in tensors}}, nan=self._nan)

    def scores(self, answer: Answer, rows: int) -> np.ndarray:
        """Read an answer."""
        tree = decoded(answer.body)
        value = tree.get("predictions", tree.get("outputs")) if isinstance(tree, dict) else None
        if value is None:
            raise WrongAnswer("answers with JSON that has neither predictions nor outputs")
        tensors = {name: numbers(each, repr(name)) for name, each in self._by_name(value).items()}
        return scores_of(tensors, self._outputs, rows)

    def _by_name(self, value: Any) -> dict[str, Any]:
        """Tensors by name: a list of rows has one, a list of objects those of the first, an object its own."""
        wanted = [output.name for output in self._outputs]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            names = wanted or list(value[0])
            if not all(isinstance(row, dict) and row.keys() >= set(names) for row in value):
                raise WrongAnswer(f"answers with rows that lack one of {', '.join(map(repr, names))}")
            return {name: [row[name] for row in value] for name in names}
        if isinstance(value, dict):
            return {name: value[name] for name in wanted or value if name in value}
        return {wanted[0] if len(wanted) == 1 else _ONLY: value}
