"""An ONNX file as a package's program: checked, fitted to `model.toml`, and ready for a session."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from inference.backends.errors import ArtefactError
from inference.backends.fixed_rows import fit_rows
from inference.backends.onnx_columns import Columns
from inference.backends.onnx_file import read_model, to_bytes
from inference.backends.onnx_signature import ScoreOutput, inputs_of, rows_of, score_output
from inference.packages.model_toml import ModelPackage


class OnnxProgram(NamedTuple):
    """A harmless graph, what feeds it, and where its scores are. ``archive`` is all of it."""

    archive: bytes
    features: int
    columns: Columns
    scores: ScoreOutput


def read_onnx(package: ModelPackage, file: Path) -> OnnxProgram:
    """Read an ONNX file for a package, without ONNX Runtime.

    Raises
    ------
    ArtefactError
        The file could do more than compute, or takes or gives something else than the package says.
    """
    folder = file.parents[len(PurePosixPath(package.artefact).parts) - 1]
    model = read_model(file, folder)
    inputs = inputs_of(model)
    if not inputs:
        raise ArtefactError(f"{file}: it takes no input; convert the model anew")
    try:
        fit_rows(package, rows_of(inputs), file)
        scores = score_output(model, package)
        columns = Columns(inputs, package.schema)
    except ArtefactError as error:
        text = str(error)
        raise ArtefactError(text if text.startswith(str(file)) else f"{file}: {text}") from error.__cause__
    for value in [value for value in model.graph.output if value.name != scores.name]:
        model.graph.output.remove(value)
    return OnnxProgram(to_bytes(model, file), len(package.inputs), columns, scores)


def rows_in(file: Path) -> int | None:
    """Rows of the one batch that an ONNX file takes; None where it takes any number."""
    return rows_of(inputs_of(read_model(file, file.parent)))
