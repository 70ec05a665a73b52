"""Real rows that hang together: streams of the demo's training data, drawn in blocks, without any drift."""

import math
from pathlib import Path

import numpy as np

from benchmarks.alarms.runs import Quiet, summed
from drift.analysis.bench import Population
from drift.analysis.bench.ours import Ours
from drift.analysis.bench.streams import Ground
from streams.wire.records import Watch

TABLE = Path(__file__).parents[2] / "driftline" / "demo" / "data" / "employment_reference.parquet"
BLOCK_ROWS = 17  # A dozen households: few are cut in two.


def quiet(seed: int, runs: int, windows: int, every: float) -> Quiet:
    """Run streams of windows of 200 rows, each against a reference of 10,000 that is drawn like it."""
    said = {"score": "predicted_probability", "prediction": "prediction"}
    population = Population.of(TABLE, BLOCK_ROWS, **said, exclude=("id", "year", "employed"))
    opened, pages, highest = list[int | None](), 0, -math.inf
    for run in range(runs):
        ground = Ground.draw(population, np.random.default_rng([seed, run, 0]))
        ours = Ours(ground.baseline, Watch(false_alarm_every=every))
        for window in ground.windows(200, windows, np.random.default_rng([seed, run, 1])):
            ours.observe(window.counts)
            highest = max(highest, ours.log_evidence)
        opened.append(ours.opened)
        pages += ours.paged is not None
    name = f"employment, 2015, in blocks of {population.block_rows}"
    return summed(name, len(population.whole.columns), every, seed, windows, opened, pages, math.exp(highest))
