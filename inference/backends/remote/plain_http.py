"""Plain HTTP with JSON: a request and an answer of the server's own shape, described by paths.

A value stands in a row as it stands in requests: a number, true or false, a level's text; null where it is missing, an
empty text where the level is unknown.
"""

from typing import Any

import numpy as np

from inference.backends.errors import ArtefactError
from inference.backends.remote.failures import WrongAnswer
from inference.backends.remote.http_client import Answer
from inference.backends.remote.http_wire import JSON, HttpWire, Request
from inference.backends.remote.json_path import parse, put, read
from inference.backends.remote.json_values import decoded, encoded, numbers
from inference.backends.remote.remote_toml import HttpMapping, RemoteModel
from inference.packages.model_toml import ModelPackage
from streams.wire.schema import Feature


class PlainHttp(HttpWire):
    """A `Wire` by the table ``[http]``."""

    def __init__(self, remote: RemoteModel, package: ModelPackage) -> None:
        self._mapping = remote.http or HttpMapping()
        super().__init__(remote, self._mapping.path)
        self._rows, self._scores = parse(self._mapping.rows), [parse(path) for path in self._mapping.scores]
        if not self._rows or not all(isinstance(step, str) for step in self._rows):
            raise ArtefactError(f"http.rows: {self._mapping.rows!r} must name a field, and no element of a list")
        if not self._scores:
            raise ArtefactError("http.scores: name at least one path")
        self._nan = remote.missing == "NaN"
        self._fill = remote.missing if isinstance(remote.missing, float) else None
        self._columns = _columns(remote, package)

    def request(self, matrix: np.ndarray) -> Request:
        """Write a batch."""
        columns = [self._values(feature, matrix[:, j]) for j, feature in self._columns]
        rows: list[Any] = [list(row) for row in zip(*columns, strict=True)]
        if self._mapping.row == "object":
            names = [feature.name for _, feature in self._columns]
            rows = [dict(zip(names, row, strict=True)) for row in rows]
        return JSON, encoded(put(self._rows, rows, self._mapping.body), nan=self._nan)

    def _values(self, feature: Feature, column: np.ndarray) -> list[Any]:
        if feature.kind == "categorical":
            texts = [*feature.categories, "", None]
            return [texts[code] for code in column.astype(np.int64).tolist()]
        if self._fill is not None:
            column = np.where(np.isnan(column), np.float32(self._fill), column)
        if feature.kind == "boolean":
            missing: Any = float("nan") if self._nan else None
            return [missing if value != value else bool(value) for value in column.tolist()]
        return list(column.tolist())

    def scores(self, answer: Answer, rows: int) -> np.ndarray:
        """Read an answer."""
        tree = decoded(answer.body)
        parts = []
        for path, text in zip(self._scores, self._mapping.scores, strict=True):
            values = numbers(read(path, tree), text)
            if values.ndim > 2 or len(values) != rows:
                raise WrongAnswer(f"answers with {text} of shape {list(values.shape)} to a batch of {rows} rows")
            parts.append(values.reshape(rows, -1))
        with np.errstate(over="ignore"):
            return np.concatenate(parts, 1).astype(np.float32)


def _columns(remote: RemoteModel, package: ModelPackage) -> list[tuple[int, Feature]]:
    """Columns of a row, by the only entry of ``inputs``; all of them where it names none."""
    (tensor, *more) = remote.inputs
    if more:
        raise ArtefactError("inputs: plain HTTP has rows and no tensors; name the columns in one [[inputs]]")
    names = package.schema.names
    return [(names.index(name), package.schema[name]) for name in tensor.columns or names]
