"""One small trained model for all tests of inference, and its table."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this file

from inference import Limits, Registry, Scorer, init_package

CITIES = ("Rome", "Oslo", "Bari", "16", "17")


@pytest.fixture(scope="session")
def table() -> pa.Table:
    """2,000 rows whose label depends on all features; nulls in each of them."""
    rng = np.random.default_rng(7)
    n = 2_000
    age = rng.normal(40, 15, n)
    city = rng.integers(0, len(CITIES), n)
    vip = rng.random(n) < 0.3
    logit = (age - 40) / 10 + np.array([-1.0, 0, 1, 2, -2])[city] + vip
    label = rng.random(n) < 1 / (1 + np.exp(-logit))
    return pa.table(
        {
            "age": pa.array(age, mask=rng.random(n) < 0.05),
            "city": pa.array([CITIES[c] for c in city], mask=rng.random(n) < 0.05),
            "vip": pa.array(vip, mask=rng.random(n) < 0.05),
            "id": pa.array(range(n)),
            "y": pa.array(label.astype(int)),
        }
    )


@pytest.fixture(scope="session")
def folder(table, tmp_path_factory):
    """A package with a trained network, exported for batches of 64 rows."""
    from inference.onboarding.training import TrainingLimits, export, train

    folder = tmp_path_factory.mktemp("package") / "churn"
    package = init_package(
        folder,
        table,
        name="churn",
        artefact="model.pt2",
        label="y",
        segments=("vip",),
        limits=Limits(batch_rows=64),
    )
    export(
        train(package, table, "y", limits=TrainingLimits(epochs_min=4, batch_rows_max=128)), folder / "model.pt2", 64
    )
    return folder


@pytest.fixture(scope="session")
def scorer(folder, tmp_path_factory) -> Scorer:
    """The trained model, through the registry."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    registry.add(folder)
    return registry.load("churn", "v1", on="cpu")
