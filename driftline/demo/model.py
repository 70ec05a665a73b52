"""The demo's model: a small network trained on the people of 2015, packaged with its reference."""

from importlib.resources import files
from pathlib import Path

import pandas as pd
import pyarrow as pa

from driftline.commands.model_profile import load, profile
from inference import init_package
from inference.serving.examples import write_examples

NAME = "employment"
LABEL = "employed"
NOT_FEATURES = ("id", "year", "prediction", "predicted_probability")
DATA = Path(str(files("driftline.demo"))) / "data"


def build(folder: Path) -> tuple[float, int]:
    """Train, package and profile; returns the AUC on rows that the network has not seen, and the rows of the table."""
    from inference.onboarding.training import export, kept_back, train  # torch: seconds, so only when it is wanted

    table = pd.read_parquet(DATA / "employment_reference.parquet")
    folder.mkdir(parents=True, exist_ok=True)
    package = init_package(
        folder, table, name=NAME, artefact="model.pt2", label=LABEL, exclude=NOT_FEATURES, task="binary"
    )
    trained = train(package, table, LABEL)
    export(trained, folder / "model.pt2", package.limits.batch_rows)
    rows = pa.Table.from_pandas(table)
    scorer = load(folder)
    write_examples(scorer, rows, folder)
    reference = profile(scorer, rows, label=LABEL, held_out=kept_back(rows, LABEL))
    (folder / "reference.arrow").write_bytes(reference.to_bytes())
    return trained.value, len(table)
