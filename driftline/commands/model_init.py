"""Make a package from a table and a model file; where there is no model, train one."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from drift.cells import frames
from drift.cells.event_times import milliseconds
from drift.cells.profile import Order
from drift.reference.reference import Reference
from driftline.commands import model_profile, references
from driftline.progress import OnProgress, unwatched
from inference import ModelPackage, PackageError, Registry, draft_package, write_package
from inference.backends import ArtefactError
from inference.backends.fixed_rows import limits_of
from inference.backends.kinds import files_of, kind_of, rows_of, spellings
from inference.onboarding.draft import brought
from inference.packages.model_toml import EXAMPLES, FILE
from inference.packages.versions import kinds_of
from inference.serving.examples import write_examples
from streams.names import check_name

REFERENCE = "reference.arrow"
_PICKLES = (".pkl", ".pickle", ".joblib", ".pth", ".pt", ".sav")


class InitError(ValueError):
    """A package that cannot be made as asked; the text says what to do."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was made. ``trained`` says how well a network that was trained for it does."""

    folder: Path
    package: ModelPackage
    reference: Reference
    notes: tuple[str, ...]
    trained: str = ""


def init(
    data: Path,
    folder: Path,
    *,
    model: str | None,
    companions: Collection[Path] = (),
    shuffle: bool = False,
    time: str | None = None,
    order: Order | None = None,
    holdout: Path | None = None,
    data_is_held_out: bool = False,
    force: bool = False,
    registry: Registry | None = None,
    on_progress: OnProgress = unwatched,
    **known: Any,
) -> Made:
    """Make a package: `model.toml`, the model file, examples, and the reference.

    Parameters
    ----------
    data
        The training table, Parquet or CSV.
    folder
        Where to; it is written only when all has gone well.
    model
        An artefact, see `inference.backends.kinds`; None trains a small network on the label.
    companions
        Files that the model reads from its own folder.
    shuffle
        Mix the rows before a network is trained, which is tested on the last fifth of them. Without ``time`` the order
        of the rows then counts as unknown.
    time, order
        Column of event times, which is no feature, or what is known of the order of the rows; see
        `drift.Reference.fit`.
    holdout
        A table of rows that the model has not learnt from: scores and performance are then of these. A network that is
        trained here keeps rows back for that by itself.
    data_is_held_out
        The model has not learnt from ``data`` itself.
    force
        Write over a package that is there.
    registry
        Where the package will be added: a column that is of another kind in another version there is refused.
    on_progress
        Told what is being done, how much of it is, and how much there is.
    known
        See `inference.draft_package`.
    """
    check_name("model", known["name"])  # Before anything is read, or a folder made of it.
    check_name("version", known.get("version", "v1"))
    if (folder / FILE).exists() and not force:
        raise InitError(f"{folder / FILE} is there already; --force writes over it, --out names another folder")
    if holdout is not None and data_is_held_out:
        raise InitError("--holdout has rows that the model has not learnt from: leave --data-is-held-out away")
    file = None if model is None else _model_file(model)
    on_progress(f"reading {data}", 0, None)
    table = frames.read(data, dict.fromkeys(known.get("categorical") or (), "categorical"))
    if shuffle:
        table = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))
        order = order or (None if time else "unknown")
    if time is not None:
        frames.require(table, (time,), str(data))
        if not shuffle:  # A network is then tested on the latest rows.
            table = table.take(pa.array(np.argsort(milliseconds(table.column(time), time), kind="stable")))
        known["exclude"] = tuple(dict.fromkeys((*known.get("exclude", ()), time)))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".init-", dir=folder.parent) as beside, _as_given(Path(beside), file):
        draft = Path(beside)
        if file is not None and file.resolve().parent == folder.resolve():
            # A class may read what lies beside it; a link stays one, so that no file of elsewhere is taken in.
            shutil.copytree(folder, draft, symlinks=True, dirs_exist_ok=True)
        for companion in companions:
            shutil.copyfile(companion, draft / companion.name)
        artefact = "model.pt2" if model is None else brought(model, draft)
        limits = None if model is None else limits_of(rows_of(artefact, draft), draft / artefact)
        package, notes = draft_package(table, artefact=artefact, limits=limits, **known)
        if registry is not None:
            others = [manifest.version for manifest in registry.list(package.name)]
            registry.refuse_conflict(package.name, package.version, kinds_of(package), others)
        write_package(package, draft)
        trained = _trained(package, table, known.get("label"), draft, on_progress) if model is None else ""
        rows = _Rows(table, _held_out(table, holdout, model, known), learnt=model is not None and not data_is_held_out)
        package, reference, doubts = _profiled(draft, rows, known, on_progress, time, order)
        (draft / REFERENCE).write_bytes(reference.to_bytes())
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(draft, folder, symlinks=True, dirs_exist_ok=True, ignore=ignored)
    return Made(folder=folder, package=package, reference=reference, notes=(*notes, *doubts), trained=trained)


@contextmanager
def _as_given(draft: Path, file: Path | None) -> Iterator[None]:
    """Let refusals name the model file as it was given, and not its copy in a folder that is gone by then."""
    try:
        yield
    except (ArtefactError, PackageError) as error:
        text = str(error) if file is None else str(error).replace(str(draft / file.name), str(file))
        raise type(error)(text.replace(f"{draft}/", "")) from error


def _model_file(model: str) -> Path:
    """Find the model file, or say what was probably meant."""
    file = Path(model.partition(":")[0])
    if file.suffix in _PICKLES:
        raise InitError(
            f"{file}: a pickle can run anything when it is loaded, so none is; export a network with torch.export "
            "(model.pt2), or write a class with load(device) and predict(batch) that reads the file, and give "
            f"--model model.py:Class --with {file}"
        )
    if kind_of(model) is None:
        raise InitError(f"--model {model}: give {spellings()}")
    for named in map(Path, files_of(model)):
        if not named.is_file():
            there = sorted(path.name for path in named.parent.glob("*")) if named.parent.is_dir() else []
            near = get_close_matches(named.name, there, 1)
            meant = f"; did you mean {named.parent / near[0]}?" if near else ""
            raise InitError(f"--model {model}: no such file{meant if named == file else f' as {named}{meant}'}")
    return file


def _trained(package: ModelPackage, table: pa.Table, label: str | None, folder: Path, on_progress: OnProgress) -> str:
    """Train the built-in network; returns how well it does."""
    if label is None:
        raise InitError(f"--train needs --label, one of: {', '.join(table.column_names)}")
    on_progress("training a small network", 0, None)
    from inference.onboarding.training import TrainingLimits, export, train  # torch: seconds

    kept = table.slice(0, int(table.num_rows * (1 - TrainingLimits().holdout)))[label].unique()
    never = (
        []
        if package.task == "regression"
        else sorted(set(table[label].unique().to_pylist()) - set(kept.to_pylist()), key=str)
    )
    if [value for value in never if value is not None]:
        raise InitError(
            f"label {label!r}: {never} stands in the last fifth of the rows only, on which the network is tested; "
            "the table is sorted: --shuffle mixes it"
        )
    trained = train(
        package, table, label, on_step=lambda done, total: on_progress("training a small network", done, total)
    )
    on_progress("exporting it", 0, None)
    export(trained, folder / package.artefact, package.limits.batch_rows)
    return f"{trained.metric} {trained.value:.3f} on the last fifth of {trained.rows:,} rows, which it has not seen"


class _Rows(NamedTuple):
    """The table, rows that the model has not learnt from, and whether it has learnt from the table's."""

    table: pa.Table
    held_out: pa.Table | None
    learnt: bool


def _held_out(table: pa.Table, holdout: Path | None, model: str | None, known: dict[str, Any]) -> pa.Table | None:
    """Rows that the model has not learnt from, if there are any beside the table."""
    if holdout is not None:
        rows = frames.read(holdout, dict.fromkeys(known.get("categorical") or (), "categorical"))
        frames.require(rows, filter(None, (known.get(name) for name in ("label", "score"))), str(holdout))
        return rows
    if model is not None:
        return None
    from inference.onboarding.training import kept_back

    return kept_back(table, str(known.get("label")))


def _profiled(
    folder: Path,
    rows: _Rows,
    known: dict[str, Any],
    on_progress: OnProgress,
    time: str | None,
    order: Order | None,
) -> tuple[ModelPackage, Reference, list[str]]:
    """Make the reference, and say what looks wrong with it; a binary model's positive class is the one that its scores
    speak of.
    """
    on_progress("loading the model", 0, None)
    (folder / EXAMPLES).unlink(missing_ok=True)  # of what this package replaces
    scorer = model_profile.load(folder)
    package = scorer.package
    label, score, prediction = (known.get(name) for name in ("label", "score", "prediction"))
    judged = rows.table if rows.held_out is None else rows.held_out
    doubts: list[str] = []
    if package.task == "binary" and label is not None and rows.learnt:
        package, note = model_profile.oriented(
            scorer, judged, label=label, score=score, prediction=prediction, named=bool(known.get("positive"))
        )
        doubts.append(note)
        if package != scorer.package:
            write_package(package, folder)
            scorer = model_profile.load(folder)
    write_examples(scorer, rows.table, folder)
    doubt = "" if score is None else model_profile.contradiction(scorer, judged, score)
    reference = model_profile.profile(
        scorer,
        rows.table,
        label=label,
        score=score,
        prediction=prediction,
        time=time,
        order=order,
        held_out=rows.held_out,
        # Scores that are not the model's own on its table come from elsewhere: from folds, as a rule.
        in_sample=rows.learnt and rows.held_out is None and not doubt,
        on_progress=on_progress,
    )
    doubts += [note for note in reference.notes if not note.startswith("the score is taken as")]
    doubts += filter(None, [references.assumed_order(reference, time, order), doubt])
    if reference.checks:
        doubts.append(f"the table: {references.doubt(reference)}")
    return package, reference, doubts
