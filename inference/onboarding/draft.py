"""How everyone starts: a table and a model file become a package."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from inference.onboarding.leak import ROWS_MAX, says
from inference.onboarding.not_features import unfit
from inference.onboarding.table import TableError, as_table, infer_features, levels_of, matrix_of, natural, texts_of
from inference.packages.model_toml import ANY_ROWS, Limits, ModelPackage, Outputs, Task, nearest, write_package
from streams.tables.kinds import coarse
from streams.tables.values import doubles
from streams.wire.classes import Classes, class_names
from streams.wire.schema import Feature, FeatureSchema

#: Classes that a refusal names.
_NAMED_MAX = 4
#: A label of integers with more distinct values is a quantity.
CLASSES_MAX = 20


class Draft(NamedTuple):
    """A package as inferred from a table, and what was inferred, a sentence each."""

    package: ModelPackage
    notes: tuple[str, ...]


def init_package(folder: str | Path, table: Any, *, artefact: str, **known: Any) -> ModelPackage:
    """Write the `model.toml` of a model from the table that it was trained on.

    Parameters
    ----------
    folder
        The package's folder, made if need be.
    table
        Arrow table, pandas frame, or the path of a Parquet or CSV file.
    artefact
        The model file. One that lies elsewhere is copied into the folder; one that is not there yet may come later.
    known
        See `draft_package`.
    """
    folder = Path(folder)
    package = draft_package(table, artefact=brought(artefact, folder), **known).package
    write_package(package, folder)
    return package


def draft_package(
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
    categorical: Collection[str] = (),
    task: Task | None = None,
    positive: str = "",
    threshold: float = 0.5,
    segments: Collection[str] = (),
    limits: Limits | None = None,
    owner: str = "",
) -> Draft:
    """Infer what a model takes and answers from the table that it was trained on.

    Parameters
    ----------
    table
        Arrow table, pandas frame, or the path of a Parquet or CSV file.
    label, score, prediction
        Columns that are no features. The label, else the prediction, gives the task and the classes.
    features, exclude
        The columns that are features, in order, or those that are not. Where no features are named, identifiers,
        times and free text are left out, with a note.
    categorical
        Columns of numbers that are names: codes of a branch, a district.
    task, positive, threshold
        What the scores mean, where the label does not say: text, truth values, and integers of at most `CLASSES_MAX`
        distinct values mean classes, other numbers a regression; the last class in order is the positive one.

    A column without a null is required in requests.

    Raises
    ------
    TableError
        The table lacks a column, or one that was named cannot be a feature.
    PackageError
        The parts contradict each other.

    >>> table = pa.table({"age": [41.0, 7.5, 30.0], "when": pa.array([1, 2, 3], pa.timestamp("s")), "y": ["a", "b", "a"]})
    >>> draft_package(table, name="m", artefact="model.pt2", label="y").notes
    ("'when' is left out: a date or time is no feature; derive a number or a category from it",)
    """  # noqa: E501
    table = as_table(table, dict.fromkeys(categorical, "categorical"))
    if not table.num_rows:
        raise TableError("the table has column names and no rows; a model is made from the rows that it was trained on")
    outputs = [column for column in (label, score, prediction) if column]
    for column in (*outputs, *exclude, *categorical, *(features or ())):
        if column not in table.column_names:
            raise TableError(f"column {column!r} is not in the table{nearest(column, tuple(table.column_names))}")
    table = _named_by_number(table, categorical)
    notes: list[str] = []
    if features is None:
        features = _fit_for_features(table, (*outputs, *exclude), notes)
    inputs = infer_features(table, features)
    inputs, columns = _with_required(table, inputs)
    numeric = [feature.name for feature in inputs if feature.kind == "numeric"]
    notes += filter(None, (coarse(name, doubles(table[name])) for name in numeric))
    truth = label or prediction
    classes: tuple[str, ...] = ()
    if truth:
        classes = tuple(sorted(class_names(dict.fromkeys(levels_of(table[truth]), 1)), key=natural))
        classes, positive = _with_positive(classes, positive, truth, notes)
    if task is None and truth:
        task = _task(table[truth], classes, truth, notes)
    if task is None:
        task = "binary"
        notes.append("neither label nor prediction is named: taken as binary with the classes 0 and 1")
    if truth:
        _check_task(task, table[truth], classes, positive, truth)
    if task == "regression":
        classes = ()
    if label is not None and task is not None:
        notes += _given_away(columns, table, label, task)
    package = ModelPackage(
        name=name,
        version=version,
        task=task,
        artefact=artefact,
        inputs=inputs,
        outputs=Outputs(classes, positive, threshold),
        segments=tuple(segments),
        limits=limits or ANY_ROWS,
        owner=owner,
    )
    return Draft(package, tuple(notes))


def _fit_for_features(table: pa.Table, taken: Collection[str], notes: list[str]) -> list[str]:
    """Columns that can be features, of those that are not taken; notes say why the others cannot."""
    names = [name for name in table.column_names if name not in taken]
    left_out = unfit(table, names)
    notes += [f"{name!r} is left out: {why}" for name, why in left_out.items()]
    chosen = [name for name in names if name not in left_out]
    if not chosen:
        raise TableError("no column is left as a feature; " + "; ".join(notes or ["name some that are"]))
    return chosen


def _with_required(table: pa.Table, inputs: Collection[Feature]) -> tuple[tuple[Feature, ...], dict[str, np.ndarray]]:
    """The features, required where no value is missing; and each as its matrix column, NaN where missing, one row in
    `_every` of a long table.

    What never was null when the model was trained is a producer's fault where it is, and not the model's to guess.
    """
    features, columns = [], {}
    for feature in inputs:
        column = matrix_of(table, FeatureSchema((feature,)))[:, 0]
        if feature.kind == "categorical":
            column[column == feature.null_code] = np.nan
        features.append(replace(feature, required=not np.isnan(column).any()))
        columns[feature.name] = column[:: _every(table)].copy()
    return tuple(features), columns


def _every(table: pa.Table) -> int:
    return int(table.num_rows // (2 * ROWS_MAX)) + 1


def _given_away(columns: dict[str, np.ndarray], table: pa.Table, label: str, task: Task) -> list[str]:
    """Warn of features that say the label by themselves."""
    truth = doubles(table[label], f"label {label!r}") if task == "regression" else texts_of(table[label])
    return [
        f"{name!r} gives {label!r} away: {how}; if it is not known before the answer is asked for, leave it out: "
        f"--exclude {name}"
        for name, how in says(columns, truth[:: _every(table)]).items()
    ]


def _named_by_number(table: pa.Table, categorical: Collection[str]) -> pa.Table:
    for column in categorical:
        column_index = table.column_names.index(column)
        table = table.set_column(column_index, column, pa.array(texts_of(table[column]), pa.string()))
    return table


def _with_positive(classes: tuple[str, ...], positive: str, name: str, notes: list[str]) -> tuple[tuple[str, ...], str]:
    """Spell the positive class as the column does; one that no row has is the other class of a column of one."""
    if not positive:
        return classes, positive
    level = Classes(classes).of(positive)
    if level is None and len(classes) == 1:
        notes.append(f"no row of {name!r} is {positive!r}, the positive class: all are {classes[0]!r}")
        return tuple(sorted((*classes, positive), key=natural)), positive
    return classes, level or positive


def _check_task(task: Task, column: pa.ChunkedArray, classes: tuple[str, ...], positive: str, name: str) -> None:
    """Refuse a task, or a positive class, that the column of the truth contradicts."""
    named = ", ".join(classes[:_NAMED_MAX]) + (", ..." if len(classes) > _NAMED_MAX else "")
    if task == "regression":
        try:
            doubles(column, name)
        except ValueError:
            raise TableError(
                f"{name!r} holds {named}, and a regression needs numbers; use --task binary or --task multiclass"
            ) from None
    if task != "binary" or not classes:
        return
    if len(classes) > 2:
        raise TableError(
            f"{name!r} holds {len(classes):,} distinct values ({named}), and a binary model has two classes; use "
            "--task multiclass or --task regression"
        )
    if positive and positive not in classes:
        raise TableError(f"the positive class {positive!r} is none of the values of {name!r}: {named}")


def _task(column: pa.ChunkedArray, classes: tuple[str, ...], name: str, notes: list[str]) -> Task:
    levels = len(classes)
    if levels < 2:
        content = f"only the value {classes[0]!r}" if classes else "nothing but nulls"
        raise TableError(f"label {name!r} holds {content}; a model needs two classes or a quantity")
    if levels == 2:
        return "binary"
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return "regression"
    if pa.types.is_integer(column.type) and levels > CLASSES_MAX:
        return "regression"
    if pa.types.is_integer(column.type):
        notes.append(f"{name!r} holds {levels} different integers, taken as classes; a quantity is --task regression")
    return "multiclass"


def brought(artefact: str, folder: Path) -> str:
    """Copy the model files that lie outside of the folder into it; returns the artefact with their names there."""
    parts = artefact.split(":")
    for n, part in enumerate(parts):
        file = Path(part)
        if file.suffix and file.is_file() and file.resolve().parent != folder.resolve():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / file.name)
            parts[n] = file.name
    return ":".join(parts)
