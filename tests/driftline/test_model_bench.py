"""`driftline model bench`: what is measured, and what is recommended."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from driftline.cli import app
from driftline.commands import model_bench
from driftline.commands.model_bench import Bench, Measured
from inference import Registry, Scorer, read_package
from inference.backends import OutOfMemory, load_artefact
from inference.packages.model_toml import ModelPackage
from inference.serving.examples import write_examples
from streams.wire.schema import Feature

HALF = "class Half:\n    def load(self, device): pass\n    def predict(self, batch): return batch['x'] * 0.5\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.py").write_text(HALF)
    (folder / "model.toml").write_text(
        'name = "half"\nversion = "v1"\ntask = "binary"\nartefact = "model.py:Half"\n'
        '[limits]\nbatch_rows = 64\nbuckets = [16]\n[[inputs]]\nname = "x"\nkind = "numeric"\n'
    )
    return folder


def with_examples(folder: Path) -> None:
    package = read_package(folder)
    scorer = Scorer(package, load_artefact(package, folder, trust_code=True))
    write_examples(scorer, pa.table({"x": np.linspace(0, 1, 40)}), folder)


class Small:
    """A device with memory for 16 rows."""

    def __init__(self, backend):
        self.shapes, self._backend = backend.shapes, backend

    def score(self, matrix):
        if len(matrix) > 16:
            raise OutOfMemory("64 rows")
        return self._backend.score(matrix)


def test_a_shape_that_the_device_has_no_memory_for_has_no_figures(folder, monkeypatch):
    """They would be those of the smaller batches that were computed in its place."""
    monkeypatch.setattr(model_bench, "load_artefact", lambda *args, **more: Small(load_artefact(*args, **more)))
    result = model_bench.bench(read_package(folder), folder, "cpu", seconds=0, trust_code=True)
    assert [one.batch_rows for one in result.measured] == [16]
    assert result.refused == {"fp32, 64 rows": "cpu has no memory for such a batch"}


class Clock:
    """Each look is a quarter of a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def test_every_shape_is_measured_in_full_batches(folder):
    with_examples(folder)
    result = model_bench.bench(read_package(folder), folder, "cpu", seconds=1, trust_code=True, clock=Clock())
    assert [(one.variant, one.batch_rows, one.rows_per_s) for one in result.measured] == [
        ("fp32", 16, 16 / 0.25),
        ("fp32", 64, 64 / 0.25),
    ]
    assert all((one.p50_ms, one.p99_ms, one.apart, one.within) == (250, 250, 0.0, True) for one in result.measured)
    assert (result.examples, result.refused) == (40, {})


def test_the_command_prints_a_table_and_json(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Registry(tmp_path / "models").add(folder)
    done = CliRunner().invoke(app, ["model", "bench", "half", "v1", "--seconds", "0", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "half v1 on cpu; 0 examples" in done.output and "only fp32 may serve unseen" in done.output
    done = CliRunner().invoke(app, ["model", "bench", "half", "v1", "--seconds", "0", "--device", "cpu", "--json"])
    assert [one["batch_rows"] for one in json.loads(done.stdout)["bench"]["measured"]] == [16, 64]


def measured(variant: str, rate: float, within: bool = True) -> Measured:
    return Measured(variant, 512, rate, 1.0, 2.0, 1e-3, within)


PACKAGE = ModelPackage(name="m", version="v1", task="binary", artefact="model.pt2", inputs=(Feature("x"),))


@pytest.mark.parametrize(
    ("results", "examples", "expected"),
    [
        ([measured("fp32", 10), measured("bf16", 25)], 9, 'variant = "bf16" in model.toml of a new version, 2.5 times'),
        ([measured("fp32", 10), measured("bf16", 25, within=False)], 9, "recommended: fp32, as it is"),
        ([measured("fp32", 10), measured("bf16", 25)], 0, "only fp32 may serve unseen"),
        ([measured("fp32", 10, within=False)], 9, "no variant is within the tolerance"),
    ],
)
def test_what_is_recommended_is_fast_and_near(results, examples, expected):
    assert expected in model_bench.advice(Bench("m", "v1", "cpu", results, {}, examples), PACKAGE)
