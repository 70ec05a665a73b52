"""The two models that contestants run: a torch network, and one of the same shape in numpy, for those without torch.

``python packages.py FOLDER SEED`` writes ``FOLDER/torch`` and ``FOLDER/plain``, registries with one package each.
"""

import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.log.traffic import FEATURES
from inference import Registry, init_package
from inference.onboarding.training import TrainingLimits, export, train

_ROWS = 4_000
_HIDDEN = 64


def build(folder: Path, seed: int) -> None:
    """Train, export and register both."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((_ROWS, len(FEATURES))).astype("f4"), columns=list(FEATURES))
    table["y"] = (table["x0"] + table["x1"] * table["x2"] > 0).astype(int)

    work = folder / "work-torch"
    package = init_package(work, table, name="mlp", artefact="model.pt2", label="y", task="binary")
    trained = train(package, table, "y", seed=seed, limits=TrainingLimits(hidden=_HIDDEN))
    export(trained, work / "model.pt2", package.limits.batch_rows)
    Registry(folder / "torch").add(work)

    work = folder / "work-plain"
    work.mkdir(parents=True)
    widths = (len(FEATURES), _HIDDEN, _HIDDEN, 1)
    shapes = pairwise(widths)
    np.savez(work / "weights.npz", *(rng.standard_normal(shape).astype("f4") / 8 for shape in shapes))
    shutil.copy(Path(__file__).with_name("peers") / "plain.py", work / "model.py")
    init_package(work, table, name="mlp", artefact="model.py:Plain", label="y", task="binary")
    Registry(folder / "plain").add(work)


if __name__ == "__main__":
    build(Path(sys.argv[1]), int(sys.argv[2]))
