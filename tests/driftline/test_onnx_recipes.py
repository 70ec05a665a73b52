"""The recipes of docs/models.md for ONNX files, run as they stand, against what the libraries themselves say."""

import re
import runpy
import shlex
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from driftline.cli import app
from driftline.cli.options import load
from inference import Registry, matrix_of

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


@pytest.fixture
def people(tmp_path, monkeypatch):
    """A table in a folder of its own, in which commands run."""
    rng = np.random.default_rng(11)
    n = 1_000
    city = rng.choice(["Bari", "Oslo", "Rome"], n)
    age = rng.normal(40, 12, n).round(1)
    hours = rng.integers(10, 60, n).astype(float)
    left = rng.random(n) < 1 / (1 + np.exp(-((age - 40) / 8 + (hours - 35) / 20 + (city == "Rome"))))
    frame = pd.DataFrame({"age": age, "hours-per-week": hours, "city": city, "left": np.where(left, "yes", "no")})
    frame.loc[::17, "age"], frame.loc[::19, "city"] = np.nan, None
    frame.to_parquet(tmp_path / "people.parquet")
    monkeypatch.chdir(tmp_path)
    return frame


def followed(script):
    """Run a recipe's script, and the command below it; returns what the script made, and the model as it serves."""
    block, command = re.search(rf"```python\n# {script}\n(.*?)```\n\n```\n(.*?)\n```", PAGE, re.DOTALL).groups()
    Path(script).write_text(block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = runpy.run_path(script)
    for words in (shlex.split(command), shlex.split("driftline model add packages/leaving")):
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, done.output
    return made, Registry(load(None).registry).load("leaving", "v1", "cpu")


def test_a_pipeline_of_scikit_learn_becomes_a_package(people):
    made, scorer = followed("pipeline.py")
    assert [(feature.name, feature.kind) for feature in scorer.package.inputs] == [
        ("age", "numeric"),
        ("hours-per-week", "numeric"),
        ("city", "categorical"),
    ]
    values = scorer(matrix_of(pa.table(people), scorer.package.schema)).values
    assert scorer.package.outputs.positive == "yes"
    assert values == pytest.approx(made["pipeline"].predict_proba(made["inputs"]), abs=1e-5)


@pytest.mark.system  # the same path as above; what LightGBM says is compared in `tests/inference/test_onnx.py`
def test_trees_of_lightgbm_become_a_package(people):
    made, scorer = followed("trees.py")
    values = scorer(matrix_of(pa.table(people), scorer.package.schema)).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = made["trees"].predict_proba(made["inputs"].to_numpy("float32"))
    assert values == pytest.approx(expected, abs=1e-5)
