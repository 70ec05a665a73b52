"""How fast harm is found, and how rarely where there is none: a reference, a quiet stretch, and a change, many times.

    python benchmarks/drift_harm.py [--runs 40] [--rows-per-window 200] [--false-alarm-every 10000] [--seed 1]

Delays are rows from the change to the end of the window that opened a critical page. Goal: an error that grows by a
quarter, within 1,200 rows; no performance page where it shrinks, whatever the columns do, or where nothing changes.
"""

import argparse
import platform
import statistics
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

import drift
from drift import Reference

TRAINED, QUIET, AFTER = 12_000, 3_000, 6_000


class Scene(NamedTuple):
    """A task and what happens to it: ``make(rng, rows, changed)`` gives rows before, and after."""

    name: str
    task: str
    make: Callable[[np.random.Generator, int, bool], pd.DataFrame]
    harm: bool = True


def two_classes(rng: np.random.Generator, rows: int, flip: float = 0.0, slope: float = 1.0, at: float = 0.0):
    """A calibrated score that is wrong in 22 % of the rows; ``flip`` turns labels over, ``slope`` makes them vaguer."""
    x = rng.normal(at, 1, rows)
    chance = 1 / (1 + np.exp(-2 * slope * x))
    label = (rng.random(rows) < chance) ^ (rng.random(rows) < flip)
    return pd.DataFrame({"x": x, "p": 1 / (1 + np.exp(-2 * x)), "y": label.astype(int)})


def three_classes(rng: np.random.Generator, rows: int, flip: float = 0.0):
    """The top class's probability, calibrated; ``flip`` makes hits misses."""
    top = rng.uniform(0.45, 1, rows)
    said = rng.choice(["a", "b", "c"], rows)
    hit = (rng.random(rows) < top) & (rng.random(rows) >= flip)
    other = np.where(said == "a", "b", np.where(said == "b", "c", "a"))
    return pd.DataFrame({"x": top, "p": top, "said": said, "y": np.where(hit, said, other)})


def values(rng: np.random.Generator, rows: int, noise: float = 1.0, at: float = 0.0, tails: float = 30.0):
    """A value with an error of its own: ``noise`` is its size, ``tails`` the degrees of freedom of Student's t."""
    x = rng.normal(at, 1, rows)
    return pd.DataFrame({"x": x, "p": 2 * x, "y": 2 * x + noise * rng.standard_t(tails, rows)})


SCENES = [
    Scene("two classes, labels turn over: 22 to 28 %", "binary",
          lambda rng, n, c: two_classes(rng, n, 0.107 if c else 0.0)),
    Scene("two classes, labels grow vague: 22 to 31 %", "binary",
          lambda rng, n, c: two_classes(rng, n, slope=0.55 if c else 1.0)),
    Scene("three classes: 28 to 35 %", "multiclass", lambda rng, n, c: three_classes(rng, n, 0.1 if c else 0.0)),
    Scene("a value, error x 1.25", "regression", lambda rng, n, c: values(rng, n, 1.25 if c else 1.0)),
    Scene("a value, heavy tails, error x 1.25", "regression",
          lambda rng, n, c: values(rng, n, 1.25 if c else 1.0, tails=4.0)),
    Scene("two classes, error shrinks, inputs move", "binary",
          lambda rng, n, c: two_classes(rng, n, slope=2.0 if c else 1.0, at=0.5 if c else 0.0), harm=False),
    Scene("a value, error shrinks, inputs move", "regression",
          lambda rng, n, c: values(rng, n, 0.6 if c else 1.0, at=1.0 if c else 0.0), harm=False),
    Scene("two classes, nothing changes", "binary", lambda rng, n, _: two_classes(rng, n), harm=False),
    Scene("a value, nothing changes", "regression", lambda rng, n, _: values(rng, n), harm=False),
]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--rows-per-window", type=int, default=200)
    parser.add_argument("--false-alarm-every", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="scenes whose name begins so")
    asked = parser.parse_args()
    seeds = f"seeds {asked.seed} to {asked.seed + asked.runs - 1}"
    print(f"python {platform.python_version()}, numpy {np.__version__}; {seeds}; {TRAINED:,} rows trained on")
    print(f"{asked.rows_per_window} rows a window; one false alarm in {asked.false_alarm_every:,} windows")
    print(f"{'scene':<46} {'median':>7} {'worst':>7} {'<= 1,200':>9} {'early':>6}")
    for scene in SCENES:
        if scene.name.startswith(asked.only):
            print(line(scene, [delay(scene, asked.seed + k, asked) for k in range(asked.runs)]), flush=True)


def delay(scene: Scene, seed: int, asked: argparse.Namespace) -> float:
    """Rows from the change to the page; infinite where there is none, negative where it came before."""
    rng = np.random.default_rng(seed)
    said = "said" if scene.task == "multiclass" else None
    trained = scene.make(rng, TRAINED, False)
    reference = Reference.fit(trained, task=scene.task, score="p", prediction=said, label="y")
    stream = pd.concat([scene.make(rng, QUIET, False), scene.make(rng, AFTER, True)], ignore_index=True)
    found = drift.backtest(
        reference, stream, rows_per_window=asked.rows_per_window, false_alarm_every=asked.false_alarm_every
    ).alerts
    paged = found[(found["kind"] == "performance") & (found["severity"] == "critical") & found["page"]]
    return float(paged["first_row"].iloc[0] + asked.rows_per_window - QUIET) if len(paged) else np.inf


def line(scene: Scene, delays: list[float]) -> str:
    """What came of a scene's runs."""
    early = sum(found <= 0 for found in delays)
    if not scene.harm:
        paged = sum(np.isfinite(found) for found in delays)
        return f"{scene.name:<46} {f'paged in {paged} of {len(delays)} runs':>32}"
    kept = sum(0 < found <= 1200 for found in delays)
    half, worst = statistics.median(delays), max(delays)
    return f"{scene.name:<46} {half:>7,.0f} {worst:>7,.0f} {f'{kept}/{len(delays)}':>9} {early:>6}"


if __name__ == "__main__":
    main()
