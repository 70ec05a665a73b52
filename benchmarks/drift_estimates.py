"""How near the estimated AUC comes to the realised one where only the inputs move, in windows of 5,000 rows.

    python benchmarks/drift_estimates.py [--windows 60] [--rows 5000] [--reference-rows 60000] [--seed 1]

The label given the inputs stays as it was; the inputs move. "noise" is the realised figure's own standard deviation,
which no estimate gets below: a perfect one has a mean gap of .8 of it, and a worst of 2.5. "expected" is the mean gap
to the figure over many draws of the labels, without that noise. Goal, for a noise of .0026: mean gap <= .003, worst
<= .0065. In "hidden", one score means two things, and their mix moves: what no calibration of scores can see.
"""

import argparse
import platform
from collections.abc import Callable

import numpy as np
import pandas as pd
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from drift import Reference
from drift.performance import estimate

World = Callable[[np.random.Generator, int, float], tuple[np.ndarray, np.ndarray]]


def straight(rng: np.random.Generator, rows: int, moved: float) -> tuple[np.ndarray, np.ndarray]:
    """Five normal inputs and a logit that is linear in them, as the model's; the first one moves by one sd."""
    x = rng.normal(size=(rows, 5))
    x[:, 0] += moved
    return x, x @ np.array([3.5, -2.4, 1.6, 1.0, 0.0])


def bent(rng: np.random.Generator, rows: int, moved: float) -> tuple[np.ndarray, np.ndarray]:
    """A logit that the linear model cannot follow: squares and products; two inputs move."""
    x = rng.normal(size=(rows, 4)) + moved * np.array([0.5, 0.0, -0.5, 0.0])
    return x, 1.4 * x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.4 * x[:, 3] ** 2 - 0.8


def rare(rng: np.random.Generator, rows: int, moved: float) -> tuple[np.ndarray, np.ndarray]:
    """One label in twelve is positive; the inputs spread out."""
    x = rng.normal(size=(rows, 4)) * (1 + 0.3 * moved)
    return x, x @ np.array([1.2, 0.9, -0.8, 0.3]) - 3.4


def hidden(rng: np.random.Generator, rows: int, moved: float) -> tuple[np.ndarray, np.ndarray]:
    """Two groups with logits of their own, and the second one grows."""
    x = rng.normal(size=(rows, 4))
    x[:, 3] = rng.random(rows) < 0.3 + 0.3 * moved
    return x, np.where(x[:, 3] > 0, 0.8 * x[:, 0] - 0.5, 2.2 * x[:, 0] + x[:, 1])


WORLDS: dict[str, World] = {"straight": straight, "bent": bent, "rare": rare, "hidden": hidden}

#: Draws of the labels of a window.
DRAWS = 40


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--reference-rows", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"python {platform.python_version()}, numpy {np.__version__}, scikit-learn {sklearn.__version__}")
    print(f"seed {asked.seed}; {asked.reference_rows:,} reference rows; {asked.windows} windows of {asked.rows:,} rows")
    print(f"{'world':<10} {'AUC':>13} {'mean gap':>9} {'worst':>8} {'noise':>8} {'expected':>9} {'worst':>8}")
    for name, world in WORLDS.items():
        print(line(name, world, asked), flush=True)


def line(name: str, world: World, asked: argparse.Namespace) -> str:
    """What the windows of a world said."""
    rng = np.random.default_rng(asked.seed)
    trained, logit = world(rng, asked.reference_rows, 0.0)
    model = LogisticRegression().fit(trained, drawn(rng, logit))
    x, logit = world(rng, asked.reference_rows, 0.0)  # Not the rows that it was trained on.
    table = pd.DataFrame({"x": x[:, 0], "p": model.predict_proba(x)[:, 1], "y": drawn(rng, logit)})
    reference = Reference.fit(table, task="binary", score="p", label="y")
    assert reference.score is not None
    gaps, expected, noise, figures = [], [], [], []
    for moved in np.linspace(-1, 1, asked.windows):
        x, logit = world(rng, asked.rows, moved)
        score = model.predict_proba(x)[:, 1]
        hoped = estimate(reference, np.bincount(reference.score.index(score), minlength=reference.score.size))["auc"]
        several = [roc_auc_score(drawn(rng, logit), score) for _ in range(DRAWS)]
        figures.append(several[0])
        gaps.append(abs(hoped - several[0]))
        expected.append(abs(hoped - np.mean(several)))
        noise.append(np.var(several, ddof=1))
    spread = f"{min(figures):.3f}-{max(figures):.3f}"
    return (
        f"{name:<10} {spread:>13} {np.mean(gaps):>9.4f} {max(gaps):>8.4f} {np.sqrt(np.mean(noise)):>8.4f} "
        f"{np.mean(expected):>9.4f} {max(expected):>8.4f}"
    )


def drawn(rng: np.random.Generator, logit: np.ndarray) -> np.ndarray:
    """Labels of rows."""
    label: np.ndarray = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(int)
    return label


if __name__ == "__main__":
    main()
