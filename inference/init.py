"""How everyone starts: a table and a model file become a package."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa

from inference.package import Limits, ModelPackage, Outputs, Task, write_package
from inference.table import TableError, as_table, infer_features, levels_of, natural


def init_package(
    folder: str | Path,
    table: Any,
    *,
    name: str,
    artefact: str,
    version: str = "v1",
    label: str | None = None,
    score: str | None = None,
    prediction: str | None = None,
    features: Collection[str] | None = None,
    exclude: Collection[str] = (),
    task: Task | None = None,
    positive: str = "",
    threshold: float = 0.5,
    segments: Collection[str] = (),
    limits: Limits | None = None,
    owner: str = "",
) -> ModelPackage:
    """Write the `model.toml` of a model from the table that it was trained on.

    Parameters
    ----------
    folder
        The package's folder, made if need be.
    table
        Arrow table, pandas frame or Parquet path.
    artefact
        The model file. One that lies elsewhere is copied into the folder; one that is not there yet may come later.
    label, score, prediction
        Columns that are no features. The label, else the prediction, gives the task and the classes.
    features, exclude
        The columns that are features, in order, or those that are not; see `infer_features`.
    task, positive, threshold
        What the scores mean, where the label does not say: a text, boolean or two-valued label means classes, any other
        number a regression; the last class in order is the positive one.
    """
    table, folder = as_table(table), Path(folder)
    own = [column for column in (label, score, prediction) if column]
    truth = label or prediction
    if truth and truth not in table.column_names:
        raise TableError(f"column {truth!r} is not in the table; its columns: {', '.join(table.column_names)}")
    task = task or (_task(table[truth]) if truth else "binary")
    classes: tuple[str, ...] = ()
    if task != "regression" and truth:
        classes = tuple(sorted(levels_of(table[truth]), key=natural))
    package = ModelPackage(
        name=name,
        version=version,
        task=task,
        artefact=_brought(artefact, folder),
        inputs=infer_features(table, features, exclude=(*exclude, *own)),
        outputs=Outputs(classes, positive, threshold),
        segments=tuple(segments),
        limits=limits or Limits(),
        owner=owner,
    )
    write_package(package, folder)
    return package


def _task(column: pa.ChunkedArray) -> Task:
    levels = len(levels_of(column))
    if levels == 2:
        return "binary"
    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    return "regression" if number else "multiclass"


def _brought(artefact: str, folder: Path) -> str:
    """Copy a model file that lies outside of the folder into it; returns its name there."""
    path, colon, inside = artefact.partition(":")
    file = Path(path)
    if file.is_file() and file.resolve().parent != folder.resolve():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / file.name)
        return file.name + colon + inside
    return artefact
