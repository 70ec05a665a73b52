"""Harm that is none: labelled streams whose loss is that of the training data, or as large as the tolerance allows."""

from collections.abc import Callable

import numpy as np
import pandas as pd

import drift
from benchmarks.alarms.runs import Quiet, summed
from drift import Reference
from streams.wire.records import Watch

ROWS, REFERENCE_ROWS = 200, 10_000
#: Wrong answers grow by this share, where they may.
ALLOWED = Watch().tolerances["performance"]

Draw = Callable[[np.random.Generator, int], pd.DataFrame]


def values(noise: float = 1.0) -> Draw:
    """A regression on one feature, whose errors are ``noise`` times those of the training data."""

    def draw(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        x = rng.normal(size=rows)
        return pd.DataFrame({"x": x, "p": 2 * x, "y": 2 * x + noise * rng.normal(size=rows)})

    return draw


def classes(flip: float = 0.0) -> Draw:
    """Two classes with their probabilities; a share of ``flip`` of the labels is turned over."""

    def draw(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        x = rng.normal(size=rows)
        p = 1 / (1 + np.exp(-2 * x))
        return pd.DataFrame({"x": x, "p": p, "y": ((rng.random(rows) < p) ^ (rng.random(rows) < flip)).astype(int)})

    return draw


def spelled(draw: Draw, no: object, yes: object) -> Draw:
    """Spell the labels 0 and 1 of rows otherwise."""

    def rows_spelled(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        drawn = draw(rng, rows)
        return drawn.assign(y=drawn["y"].map({0: no, 1: yes}))

    return rows_spelled


def families(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """A regression whose errors are alike in runs of five rows."""
    x = rng.normal(size=rows)
    shared = np.repeat(rng.normal(size=rows // 5 + 1), 5)[:rows]
    return pd.DataFrame({"x": x, "p": 2 * x, "y": 2 * x + (shared + rng.normal(size=rows)) / np.sqrt(2)})


def _largest_flip() -> float:
    """Share of labels that may be turned over before a loss leaves its tolerance, by a million rows."""
    frame = classes()(np.random.default_rng(0), 1_000_000)
    wrong = ((frame.p >= 0.5) != frame.y).mean()
    brier, turned = ((frame.p - frame.y) ** 2).mean(), ((frame.p - 1 + frame.y) ** 2).mean()
    return float(ALLOWED * min(wrong / (1 - 2 * wrong), brier / (turned - brier)))


#: Name, task, rows of the training data, rows of the stream.
WORLDS: list[tuple[str, str, Draw, Draw]] = [
    ("values, as trained", "regression", values(), values()),
    ("values, errors larger by the tolerance", "regression", values(), values(1 + ALLOWED)),
    ("values, errors alike in runs of five", "regression", families, families),
    ("classes, as trained", "binary", classes(), classes()),
    ("classes as text, as trained", "binary", *[spelled(classes(), "stayed", "churned")] * 2),
    ("classes 0 and 1, served as true/false", "binary", classes(), spelled(classes(), False, True)),
    (
        "classes as text True/False, served as 0.0 and 1.0",
        "binary",
        spelled(classes(), "False", "True"),
        spelled(classes(), 0.0, 1.0),
    ),
    ("classes, a loss larger by the tolerance", "binary", classes(), classes(_largest_flip())),
]
#: Worlds whose loss is not that of the training data: of them it is said how often they page, and nothing promised.
GROWN = {name for name, *_ in WORLDS if "larger by the tolerance" in name}


def quiet(name: str, task: str, trained: Draw, served: Draw, seed: int, runs: int, windows: int, every: float) -> Quiet:
    """Run labelled streams through a backtest; only incidents of performance count."""
    opened, pages = list[int | None](), 0
    for run in range(runs):
        for_reference, for_stream = np.random.default_rng([seed, run]).spawn(2)
        reference = Reference.fit(trained(for_reference, REFERENCE_ROWS), task=task, score="p", label="y")
        stream = served(for_stream, ROWS * windows)
        alerts = drift.backtest(reference, stream, rows_per_window=ROWS, false_alarm_every=every).alerts
        harm = alerts[alerts["kind"] == "performance"]
        opened.append(None if harm.empty else int(harm["window"].iloc[0]))
        pages += bool(harm["page"].any())
    return summed(name, 1, every, seed, windows, opened, pages)
