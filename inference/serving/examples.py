"""Examples: rows, and what the model said of them in single precision when its package was made.

A version must say the same where it is loaded, at each of its batch shapes, before it may serve: a library, a device or
a variant that computes something else is found before a request meets it. `examples.arrow` has a column an input, as a
table has it, and ``score``, a list of the model's outputs. Values are of the training table; each column is mixed for
itself, so that a line is hardly ever a row of the table.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from inference.backends import ArtefactError
from inference.onboarding.table import TableError, matrix_of
from inference.packages.model_toml import EXAMPLES, ModelPackage, PackageError
from inference.serving.scorer import Scorer
from streams.wire.arrow_bounds import read_table
from streams.wire.refusals import Refused
from streams.wire.schema import FeatureSchema

#: Bytes of a file, and bytes that it may unpack to.
BYTES_MAX = UNPACKED_BYTES_MAX = 16_777_216
#: Rows that are taken, and cells; and rows that are read.
ROWS, CELLS_MAX = 256, 1_000_000
ROWS_MAX = 4_096
_SCORE = "score"


def write_examples(scorer: Scorer, table: pa.Table, folder: Path) -> int:
    """Write the examples of a package from the table that it is made of.

    Parameters
    ----------
    scorer
        The package's model, in single precision.
    table
        With the package's inputs.

    Returns
    -------
    How many rows; without any, where the model has no score for one, no file is written.
    """
    schema = scorer.package.schema
    rows = _mixed(matrix_of(_spread(table, len(schema)), schema), schema)
    scores = scorer(matrix_of(rows, schema))
    rows = rows.append_column(_SCORE, pa.array(list(scores.values), pa.list_(pa.float32(), scorer.outputs)))
    rows = rows.filter(pa.array([n not in scores.failures for n in range(rows.num_rows)], pa.bool_()))
    content = _bytes(rows)
    while len(content) > BYTES_MAX and rows.num_rows:
        rows = rows.slice(0, rows.num_rows // 2)
        content = _bytes(rows)
    if rows.num_rows:
        (folder / EXAMPLES).write_bytes(content)
    return int(rows.num_rows)


def _spread(table: pa.Table, features: int) -> pa.Table:
    """Rows of a table, evenly over all of it."""
    rows = min(ROWS, max(16, CELLS_MAX // features), table.num_rows)
    return table.take(np.unique(np.linspace(0, table.num_rows - 1, rows).astype(np.int64)))


def _mixed(matrix: np.ndarray, schema: FeatureSchema) -> pa.Table:
    """A matrix as a table, each column in an order of its own."""
    draw, columns = np.random.default_rng(0), {}
    for j, feature in enumerate(schema.features):
        column = draw.permutation(matrix[:, j])
        if feature.kind == "categorical":
            columns[feature.name] = pa.array(
                np.array([*feature.categories, None, None], object)[column.astype(np.int64)], pa.string()
            )
        elif feature.kind == "boolean":
            columns[feature.name] = pa.array(column == 1, pa.bool_(), mask=np.isnan(column))
        else:
            columns[feature.name] = pa.array(column, pa.float32(), mask=np.isnan(column))
    return pa.table(columns)


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def read_examples(package: ModelPackage, folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Read a package's examples, if it has any: float32 [rows, features], and float32 [rows, outputs].

    Raises
    ------
    PackageError
        The file is damaged, too large, or not of these inputs.
    """
    file = folder / EXAMPLES
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        content = opened.read(BYTES_MAX + 1)
    try:
        table = read_table(content, BYTES_MAX, UNPACKED_BYTES_MAX, ROWS_MAX)
        kind = table.schema.field(_SCORE).type
        if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
            raise ValueError(f"score is {kind}, a list of float32 of one length is wanted")
        scores = np.array(table[_SCORE].combine_chunks().flatten(), np.float32).reshape(-1, kind.list_size)
        return matrix_of(table, package.schema), scores
    except (Refused, TableError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        why = error.args[2] if isinstance(error, Refused) else error
        raise PackageError(
            f"{file}: not the examples of this package ({str(why)[:200]}); `driftline model init` writes them"
        ) from error


def check_examples(scorer: Scorer, folder: Path) -> None:
    """Refuse a loaded model that does not reproduce its package's examples at every batch shape.

    Raises
    ------
    ArtefactError
        It says something else; the text has the row, what came and what was expected.
    PackageError
        The examples cannot be read.
    Unavailable, Fatal
        See `inference.backends.errors`.
    """
    examples = read_examples(scorer.package, folder)
    if examples is None:
        return
    matrix, expected = examples
    name, package = f"{scorer.package.name} {scorer.package.version}", scorer.package
    if scorer.outputs != expected.shape[1]:
        raise ArtefactError(
            f"{folder / EXAMPLES}: {expected.shape[1]} outputs, and {name} has {scorer.outputs}; make the package anew"
        )
    allowed = allowed_difference(package, expected)
    for bucket in scorer.backend.shapes.buckets:
        scores = scorer(matrix, buckets=np.full(len(matrix), bucket, np.int32))
        apart = ~(np.abs(scores.values - expected) <= allowed)
        if not apart.any():
            continue
        row, output = (int(at) for at in np.argwhere(apart)[0])
        rows_apart = int(apart.any(1).sum())
        failure = scores.failures.get(row)
        came = failure.why if failure else f"{scores.values[row, output]:.7g}"
        raise ArtefactError(
            f"{folder / EXAMPLES}: {name} does not reproduce {rows_apart} of {len(matrix)} examples: row {row} "
            f"in a batch of {bucket} rows: {came}; {expected[row, output]:.7g} expected, within "
            f"{allowed[row, output]:.2g}. The file, the library or the device computes something else than what the "
            "package was made with: make it anew, or widen tolerance in model.toml"
        )


def allowed_difference(package: ModelPackage, expected: np.ndarray) -> np.ndarray:
    """How far each score may be off; see `inference.packages.model_toml.Tolerance`."""
    sizes = np.abs(expected)
    typical = np.median(sizes, axis=0) if len(sizes) else 0.0
    allowed: np.ndarray = package.tolerance.absolute + package.tolerance.relative * np.maximum(sizes, typical)
    return allowed
