"""References of packages: the training table, scored by the very file that will serve."""

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from drift.cells.binning import natural
from drift.cells.columns import floats, levels
from drift.cells.profile import Order
from drift.performance.positive import positive_class, separation
from drift.reference.reference import Reference
from driftline.progress import OnProgress, unwatched
from inference import ModelPackage, Scorer, matrix_of, read_package
from inference.backends import load_artefact
from inference.backends.devices import device
from inference.scoring.outputs import answers
from streams.wire.classes import Classes

#: Rows on which a column of scores is compared with what the model says.
_COMPARED_ROWS = 1_000
_COMPARED_WITHIN = 1e-3
#: So many rows, evenly over the table, tell which class the scores are of.
_ORIENTED_ROWS = 4_000


class ProfileError(ValueError):
    """A table that the model cannot score; the text names the row and the reason."""


def load(folder: Path) -> Scorer:
    """Load a package of this machine's own, ready to score on the processor."""
    package = read_package(folder)
    return Scorer(package, load_artefact(package, folder, device("cpu"), trust_code=True))


def with_scores(folder: Path, reference: Reference, table: pa.Table) -> pa.Table:
    """A table with the scores and predictions that a reference has columns of; the package's model gives those that are
    missing.

    Parameters
    ----------
    folder
        Of the package.
    reference
        Its columns behind the features are the score and, where there is one, the prediction.
    table
        With the features, under the reference's own names.

    Raises
    ------
    ProfileError
        The model gives no score for a row.
    """
    names = reference.sources[len(reference.schema) :]
    if all(name in table.column_names for name in names):
        return table
    return scored(load(folder), table, (names[0], names[1] if len(names) > 1 else "prediction"))


def scored(
    scorer: Scorer,
    table: pa.Table,
    names: tuple[str, str] = ("score", "prediction"),
    on_progress: OnProgress = unwatched,
) -> pa.Table:
    """Add two columns, the score and the prediction, as the model gives them; older ones of those names make way.

    Parameters
    ----------
    names
        Of the two columns.
    on_progress
        Given how many rows are scored.

    Raises
    ------
    ProfileError
        The model gives no score for a row.
    """
    package = scorer.package
    matrix = matrix_of(table, package.schema)
    scores = scorer(matrix, lambda done: on_progress("scoring the rows", done, len(matrix)))
    if scores.failures:
        row, failure = min(scores.failures.items())
        raise ProfileError(
            f"{package.name} {package.version} gives no score for {len(scores.failures):,} of {table.num_rows:,} rows; "
            f"row {row}: {failure.why}"
        )
    answered = answers(package, scores.values)
    table = _without(table, *names)
    return table.append_column(names[0], pa.array(answered.score)).append_column(names[1], pa.array(answered.texts()))


def profile(
    scorer: Scorer,
    table: pa.Table,
    *,
    label: str | None = None,
    score: str | None = None,
    prediction: str | None = None,
    time: str | None = None,
    order: Order | None = None,
    held_out: pa.Table | None = None,
    in_sample: bool = False,
    on_progress: OnProgress = unwatched,
) -> Reference:
    """Profile a package's training table.

    Parameters
    ----------
    score, prediction
        Columns with what the model said; where no score is named, the model is asked. A binary model's predictions
        follow from its scores.
    time, order
        In which order the rows came, see `drift.Reference.fit`.
    held_out
        Rows that the model has not learnt from: scores and performance are then of these.
    in_sample
        The model has learnt from the table's rows, and no others are at hand.
    on_progress
        Told what is being done, how much of it is, and how much there is.
    """
    package = scorer.package
    judged = table if held_out is None else held_out
    if score is None:
        score, prediction = (f"model_{name}" if name == label else name for name in ("score", "prediction"))
        judged = scored(scorer, judged, (score, prediction), on_progress)
    elif prediction is None and package.task == "binary":
        judged, prediction = _decided(package, judged, score), "prediction"
    on_progress("profiling the columns", 0, None)
    return Reference.fit(
        judged if held_out is None else table,
        task=package.task,
        score=score,
        prediction=prediction if package.task != "regression" else None,
        label=label,
        features=package.schema,
        segments=package.segments,
        positive=package.outputs.positive or None,
        classes=package.outputs.classes,
        time=time,
        order=order,
        holdout=None if held_out is None else judged,
        in_sample=in_sample,
    )


def oriented(
    scorer: Scorer, table: pa.Table, *, label: str, score: str | None, prediction: str | None, named: bool
) -> tuple[ModelPackage, str]:
    """Decide by the rows which class a binary model's score is the probability of, and say why.

    Parameters
    ----------
    table
        Rows with the label, and with the score and the prediction where they are named.
    named
        The package's positive class was asked for, and stays.

    Returns
    -------
    The package, with another positive class where the rows say so, and a sentence.
    """
    package = scorer.package
    rows = table.take(np.unique(np.linspace(0, table.num_rows - 1, _ORIENTED_ROWS).astype(np.int64)))
    values = None if score is not None else scorer(matrix_of(rows, package.schema)).values
    scores = floats(rows[score], str(score)) if values is None else answers(package, values).score
    pair = tuple(sorted(package.outputs.classes, key=natural))
    separations = {}
    for column in filter(None, (label, prediction if score is not None else None)):
        codes, texts = levels(rows[column])
        classes = np.array([*Classes(pair).of_all(texts), None], dtype=object)[codes]
        separations[column] = separation(scores, classes == pair[1], classes == pair[0])
    # The scores were read as those of the package's own positive class.
    wanted = package.outputs.positive if named else None
    positive = positive_class(pair, wanted, separations.get(prediction or ""), separations.get(label))
    if positive.name == package.outputs.positive:
        return package, positive.note
    outputs = msgspec.structs.replace(package.outputs, positive=positive.name)
    if values is not None and values.shape[1] == 2:  # One column a class: it is their order that was guessed wrong.
        outputs = msgspec.structs.replace(package.outputs, classes=package.outputs.classes[::-1])
        names = " and ".join(map(repr, outputs.classes))
        note = f"the model's two outputs are taken as the probabilities of {names}: the other way round they are wrong"
        return msgspec.structs.replace(package, outputs=outputs), note
    return msgspec.structs.replace(package, outputs=outputs), positive.note


def contradiction(scorer: Scorer, table: pa.Table, score: str) -> str:
    """Say how a column of scores differs from what the model says on the first rows; empty where it does not.

    Parameters
    ----------
    table
        Has the model's features and the column `score`. The first rows are compared, no more.
    score
        A column of numbers: the score, or the probability of the positive class.
    """
    head = table.slice(0, _COMPARED_ROWS)
    scores = answers(scorer.package, scorer(matrix_of(head, scorer.package.schema)).values).score
    column = head[score].cast(pa.float64()).to_numpy()
    apart = ~np.isclose(column, scores, rtol=_COMPARED_WITHIN, atol=_COMPARED_WITHIN)
    if not apart.any():
        return ""
    row = int(apart.argmax())
    return (
        f"on {int(apart.sum()):,} of the first {len(scores):,} rows the model does not say what column {score!r} says "
        f"(row {row}: {scores[row]:.4g}, and {column[row]:.4g} there); "
        "do the order of the features (--features) and the codes of the levels match the training? "
        "Without --score the reference takes what the model says"
    )


def _decided(package: ModelPackage, table: pa.Table, score: str) -> pa.Table:
    """Add a binary model's predicted classes as they follow from its scores."""
    positive = package.outputs.positive
    negative = next(name for name in package.outputs.classes if name != positive)
    scores = table[score].cast(pa.float32()).to_numpy()
    texts = np.where(scores >= np.float32(package.outputs.threshold), positive, negative)
    return _without(table, "prediction").append_column("prediction", pa.array(texts))


def _without(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns([name for name in names if name in table.column_names])
