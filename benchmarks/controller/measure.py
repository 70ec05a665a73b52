"""What micro-batches take on this machine: the score step over JSON and a real network, the commit on a real broker.

    python -m benchmarks.controller.measure [--seed 1]

Prints what `benchmarks.controller.services` holds: times of each size, the lower quartile of several, because others
may have the cores.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.log.arena import PARTITIONS, cluster_at
from benchmarks.log.traffic import FEATURES, requests
from driftline.broker import EmbeddedBroker
from driftline.broker.record import prepare
from inference import Registry, Score, Serving, init_package
from inference.onboarding.training import TrainingLimits, export, train
from streams.kafka.admin import Layout, create
from streams.runtime.transactions import TransactionalProducer
from streams.wire.block import Block
from streams.wire.records import Route

HIDDEN = {"small": 64, "heavy": 2_048}
SIZES = (16, 64, 256, 1_024, 4_096)
_TIMES = 25
_TABLE_ROWS = 2_000


def main() -> None:
    """Measure both models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    prepare()
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder) / "kafka") as broker:
        for name, hidden in HIDDEN.items():
            _build(Path(folder) / name, hidden, seed)
            measured = _measure(Path(folder) / name / "registry", broker.bootstrap, f"{name}.", seed)
            for rows, process_ms, commit_ms in measured:
                print(f"{name:<8}{rows:>6} rows: process {process_ms:>8.2f} ms, commit {commit_ms:>7.2f} ms")


def _build(folder: Path, hidden: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((_TABLE_ROWS, len(FEATURES))).astype("f4"), columns=list(FEATURES))
    table["y"] = (table["x0"] > 0).astype(int)
    package = init_package(folder / "work", table, name="m", artefact="model.pt2", label="y", task="binary")
    trained = train(package, table, "y", seed=seed, limits=TrainingLimits(hidden=hidden, epochs_min=1, steps_min=5))
    export(trained, folder / "work" / "model.pt2", package.limits.batch_rows)
    Registry(folder / "registry").add(folder / "work")


def _measure(registry: Path, bootstrap: str, prefix: str, seed: int) -> Sequence[tuple[int, float, float]]:
    """Rows, and what processing and committing them takes, ms, the lower quartiles; a few warm up first."""
    cluster = cluster_at(bootstrap, prefix)
    create(cluster, Layout(requests=PARTITIONS))
    packages = Registry(registry)
    serving = Serving(lambda name, version: packages.load(name, version, "cpu"))
    serving.follow(Route(model="m", epoch=1, ts=0, champion="v1"))
    step, producer = Score(serving), TransactionalProducer(cluster, "bench")
    reader = cluster.consumer("bench")
    membership = reader.consumer_group_metadata()
    values = list(requests(max(SIZES), seed))
    medians = []
    for rows in SIZES:
        took = []
        for n in range(_TIMES + 3):
            blocks = [
                Block.of("requests", p, values[p * rows // PARTITIONS : (p + 1) * rows // PARTITIONS], first=n * rows)
                for p in range(PARTITIONS)
            ]
            began = time.perf_counter()
            effects = step.process(blocks)
            processed = time.perf_counter()
            producer.commit(list(zip(blocks, effects, strict=True)), (), membership)
            took.append((processed - began, time.perf_counter() - processed))
        process, commit = zip(*took[3:], strict=True)
        medians.append((rows, 1000 * _quartile(process), 1000 * _quartile(commit)))
    producer.close()
    reader.close()
    return medians


def _quartile(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=4)[0]


if __name__ == "__main__":
    main()
