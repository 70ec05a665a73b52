"""The demo's model: a small network trained on the people of 2015, packaged with its reference."""

from importlib.resources import files
from pathlib import Path

import pandas as pd
from msgspec.structs import replace

from drift.reference import Reference
from inference import init_package, read_package, write_package
from inference.answers import answers
from inference.artefacts import load_artefact
from inference.batching import Scorer
from inference.devices import device
from inference.table import as_table, matrix_of

NAME = "employment"
LABEL = "employed"
NOT_FEATURES = ("id", "year", "prediction", "predicted_probability")
DATA = Path(str(files("driftline.demo"))) / "data"


def build(folder: Path) -> tuple[float, int]:
    """Train, package and profile; returns the AUC on rows that the network has not seen, and the rows of the table."""
    from inference.training import export, train  # torch: seconds, so only when it is wanted

    table = pd.read_parquet(DATA / "employment_reference.parquet")
    folder.mkdir(parents=True, exist_ok=True)
    package = init_package(
        folder, table, name=NAME, artefact="model.pt2", label=LABEL, exclude=NOT_FEATURES, task="binary"
    )
    package = replace(package, inputs=tuple(replace(i, required=i.name == "AGEP") for i in package.inputs))
    write_package(package, folder)
    trained = train(package, table, LABEL)
    export(trained, folder / "model.pt2", package.limits.batch_rows)
    (folder / "reference.arrow").write_bytes(profile(folder, table).to_bytes())
    return trained.value, len(table)


def profile(folder: Path, table: pd.DataFrame) -> Reference:
    """Profile a table with the scores of the very archive that will serve."""
    package = read_package(folder)
    scorer = Scorer(package, load_artefact(package, folder, device("cpu")))
    said = answers(package, scorer(matrix_of(as_table(table), package.schema)).values)
    scored = table.drop(columns=["prediction"], errors="ignore").assign(score=said.score, prediction=said.texts())
    return Reference.fit(
        scored, task="binary", score="score", prediction="prediction", label=LABEL, features=package.schema
    )
