"""A batch as the tensors that a server takes, and the tensors of its answer as scores."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from inference.backends.errors import ArtefactError
from inference.backends.remote.failures import InputRefused, WrongAnswer
from inference.backends.remote.remote_toml import Input, Output, RemoteModel
from inference.packages.model_toml import nearest
from streams.wire.schema import FeatureSchema

#: The protocol's names of dtypes, as NumPy has them, little-endian; text is a column of objects.
DTYPES = {
    "BOOL": "?",
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "BYTES": "O",
}


class Tensor(msgspec.Struct, frozen=True):
    """An array with its name and the protocol's name of its dtype."""

    name: str
    dtype: str
    values: np.ndarray


class Inputs:
    """Cuts a batch into tensors.

    Raises
    ------
    ArtefactError
        A tensor is of a dtype that cannot hold its columns.
    """

    def __init__(self, remote: RemoteModel, schema: FeatureSchema) -> None:
        self._fill = remote.missing if isinstance(remote.missing, float) else None
        self._schema = schema
        self._parts = [
            (tensor, [schema.names.index(name) for name in tensor.columns or schema.names]) for tensor in remote.inputs
        ]
        for n, (tensor, positions) in enumerate(self._parts):
            kinds = {schema.features[j].kind for j in positions}
            if tensor.dtype == "BYTES" and (len(positions), kinds) != (1, {"categorical"}):
                raise ArtefactError(f"inputs[{n}]: BYTES holds the text of one categorical column; give it one")
            if tensor.flat and len(positions) != 1:
                raise ArtefactError(f"inputs[{n}]: flat is for one column, it has {len(positions)}; drop it")

    def __call__(self, matrix: np.ndarray) -> list[Tensor]:
        """Cut float32 [rows, features] into tensors.

        Raises
        ------
        InputRefused
            A value is missing, and the dtype has nothing for that.
        """
        return [Tensor(tensor.name, tensor.dtype, self._values(tensor, at, matrix)) for tensor, at in self._parts]

    def _values(self, tensor: Input, positions: list[int], matrix: np.ndarray) -> np.ndarray:
        if tensor.dtype == "BYTES":
            feature = self._schema.features[positions[0]]
            texts = np.array([*feature.categories, "", ""], object)  # unknown and missing
            values = texts[matrix[:, positions].astype(np.int64)]
        else:
            values = matrix[:, positions]
            if self._fill is not None:
                values = np.where(np.isnan(values), np.float32(self._fill), values)
            if tensor.dtype[:2] != "FP" and np.isnan(values).any():
                name = self._schema.names[positions[int(np.isnan(values).any(0).argmax())]]
                raise InputRefused(f"{name!r} is missing, and {tensor.dtype} has no such value; set missing = NUMBER")
            with np.errstate(over="ignore"):
                values = values.astype(DTYPES[tensor.dtype])
        return np.ascontiguousarray(values[:, 0] if tensor.flat else values)


def scores_of(tensors: Mapping[str, np.ndarray], outputs: Sequence[Output], rows: int) -> np.ndarray:
    """Put the tensors that are the score side by side, float32 [rows, outputs].

    Parameters
    ----------
    tensors
        Of the answer, by name; numbers.
    outputs
        Which of them, and which columns.
    rows
        Of the batch.

    Raises
    ------
    WrongAnswer
        A tensor is not there, or is of another shape.

    >>> answer = {"p": np.array([[0.25, 0.75], [0.5, 0.5]]), "label": np.array([1, 0])}
    >>> scores_of(answer, (Output("p", (1,)),), 2).tolist()
    [[0.75], [0.5]]
    """
    if not outputs:
        if len(tensors) != 1:
            raise WrongAnswer(
                f"answers with the tensors {', '.join(sorted(tensors)) or 'none'}; name one in [[outputs]]"
            )
        outputs = [Output(next(iter(tensors)))]
    parts = [_part(tensors, output, rows) for output in outputs]
    with np.errstate(over="ignore"):
        return np.concatenate(parts, 1).astype(np.float32)


def _part(tensors: Mapping[str, np.ndarray], output: Output, rows: int) -> np.ndarray:
    if output.name not in tensors:
        raise WrongAnswer(f"answers without the tensor {output.name!r}{nearest(output.name, tuple(tensors))}")
    values = tensors[output.name]
    if values.ndim not in (1, 2) or len(values) != rows or not values.size:
        raise WrongAnswer(f"answers with {output.name!r} of shape {list(values.shape)} to a batch of {rows} rows")
    values = values.reshape(rows, -1)
    if output.columns and max(output.columns) >= values.shape[1]:
        raise WrongAnswer(f"answers with {output.name!r} of {values.shape[1]} columns, {max(output.columns)} is wanted")
    return values[:, list(output.columns)] if output.columns else values
