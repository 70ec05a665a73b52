"""Rows of the matrix as an ONNX graph takes them: one matrix, or an input a column.

A column that is text in `model.toml` goes in as its level, as the pipeline was trained on it, and not as its code. An
input of whole numbers or of truth values has no missing value: a row that lacks one, or has 2.5 for a whole number, has
no score.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from inference.backends.errors import ArtefactError
from inference.backends.onnx_signature import Port
from streams.wire.schema import Feature, FeatureSchema

_FLOATS: dict[str, type[np.generic]] = {"float": np.float32, "double": np.float64}
_WHOLE: dict[str, type[np.generic]] = {"int32": np.int32, "int64": np.int64}
#: Whole numbers below it, in size, fit the type.
_WHOLE_MAX = {"int32": 2.0**31, "int64": 2.0**62}

#: A column of the matrix to an array of its type, and which rows have no value in it (None where all have).
_Converter = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


class Fed(NamedTuple):
    """Inputs by name, and which rows cannot be scored; None where all can."""

    inputs: dict[str, np.ndarray]
    unscored: np.ndarray | None


class Columns:
    """Feeds a graph that takes these inputs with rows of this schema.

    Raises
    ------
    ArtefactError
        The inputs are not the package's.

    >>> schema = FeatureSchema((Feature("km"), Feature("city", "categorical", categories=("Oslo", "Rome"))))
    >>> columns = Columns((Port("city", "string", (None, 1)), Port("km", "int64", (None, 1))), schema)
    >>> fed = columns(np.array([[2, 1], [2.5, 2]], np.float32))
    >>> fed.inputs["city"].tolist(), fed.inputs["km"].tolist(), fed.unscored.tolist()
    ([['Rome'], ['']], [[2], [0]], [False, True])
    """

    def __init__(self, inputs: Sequence[Port], schema: FeatureSchema) -> None:
        self._matrix = inputs[0] if len(inputs) == 1 and _is_matrix(inputs[0], schema) else None
        self._columns: list[tuple[Port, int, _Converter]] = []
        if self._matrix is None:
            names = _matched(inputs, schema)
            for port in inputs:
                if len(port.shape) not in (1, 2) or port.shape[1:] not in ((), (1,), (None,)):
                    raise ArtefactError(f"input {port}: an input a column is [rows, 1] or [rows]; convert it anew")
                feature = schema[names[port.name]]
                self._columns.append((port, schema.names.index(feature.name), _converter(feature, port)))

    def __call__(self, matrix: np.ndarray) -> Fed:
        """Turn float32 [rows, features] into a graph's inputs."""
        if self._matrix is not None:
            return Fed({self._matrix.name: matrix.astype(_FLOATS[self._matrix.type], copy=False)}, None)
        inputs, unscored = {}, None
        for port, column, convert in self._columns:
            values, without = convert(matrix[:, column])
            inputs[port.name] = values.reshape(-1, 1) if len(port.shape) == 2 else values
            if without is not None and without.any():
                unscored = without if unscored is None else unscored | without
        return Fed(inputs, unscored)


def _is_matrix(port: Port, schema: FeatureSchema) -> bool:
    """Whether an input is the whole matrix; one of another width is refused, unless it is a column of a wrong name."""
    if port.type not in _FLOATS or len(port.shape) != 2:
        return False
    width = port.shape[1]
    if width not in (None, len(schema)):
        raise ArtefactError(
            f"input {port}: the model takes {width} features, model.toml lists {len(schema)} inputs ("
            f"{', '.join(schema.names[:8])}{', ...' if len(schema) > 8 else ''}); name the model's own with --features"
        )
    return len(schema) > 1 or port.name != schema.names[0] or schema.features[0].kind != "categorical"


def _matched(inputs: Sequence[Port], schema: FeatureSchema) -> dict[str, str]:
    """Feature of each input: by its name, or by the name that a converter makes of it."""
    spelled = {re.sub(r"\W", "_", name): name for name in schema.names} | {name: name for name in schema.names}
    names = {port.name: spelled[port.name] for port in inputs if port.name in spelled}
    strange = [str(port) for port in inputs if port.name not in names]
    lacking = [name for name in schema.names if name not in names.values()]
    if strange or lacking or len(set(names.values())) != len(inputs):
        raise ArtefactError(
            f"the model takes an input a column; not in model.toml: {', '.join(strange[:8]) or 'none'}; in model.toml "
            f"and not taken: {', '.join(lacking[:8]) or 'none'}. Name its inputs with --features, or leave columns out "
            "with --exclude"
        )
    return names


def _converter(feature: Feature, port: Port) -> _Converter:
    if port.type == "string":
        if feature.kind != "categorical":
            raise ArtefactError(
                f"input {port} is text, and {feature.name!r} {feature.kind} in model.toml; --categorical {feature.name}"
            )
        texts = np.array([*feature.categories, "", ""], object)
        return lambda column: (texts[column.astype(np.int64)], None)
    number = _number_of(port)
    if feature.kind != "categorical":
        return number
    try:
        values = np.array([*map(float, feature.categories), np.nan, np.nan])
    except ValueError:
        raise ArtefactError(
            f"input {port} is a number, and {feature.name!r} categorical in model.toml, with levels as "
            f"{feature.categories[0]!r}; convert the model with text (StringTensorType) for it"
        ) from None
    return lambda column: number(values[column.astype(np.int64)])


def _number_of(port: Port) -> _Converter:
    """Makes numbers or truth values of an input's type."""
    if port.type in _FLOATS:
        exact = _FLOATS[port.type]
        return lambda column: (column.astype(exact), None)
    if port.type == "bool":
        return lambda column: (column == 1, (column != 0) & (column != 1))
    if port.type not in _WHOLE:
        raise ArtefactError(f"input {port}: float, double, int64, int32, bool or string is fed; convert it anew")
    whole, bound = _WHOLE[port.type], _WHOLE_MAX[port.type]

    def convert(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        without = ~((np.abs(column) < bound) & (column == np.floor(column)))
        return np.where(without, 0, column).astype(whole), without

    return convert


def blank_inputs(inputs: Sequence[Any], rows: int, features: int) -> dict[str, np.ndarray]:
    """Zeros and empty texts for a session's inputs, of whatever shape they are.

    Parameters
    ----------
    inputs
        As ONNX Runtime lists them.
    rows, features
        Size of the first axis, and of the second where it varies.
    """
    kinds: dict[str, Any] = {"tensor(string)": object, "tensor(bool)": bool}
    kinds |= {f"tensor({name})": kind for name, kind in (_FLOATS | _WHOLE).items()}
    blank = {}
    for given in inputs:
        sizes = (rows, *(size if isinstance(size, int) else (1 if len(inputs) > 1 else features)
                         for size in given.shape[1:]))  # fmt: skip
        blank[given.name] = np.full(sizes, "" if given.type == "tensor(string)" else 0, kinds[given.type])
    return blank
