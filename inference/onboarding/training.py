"""Train a small network on a table in seconds, and export it as an archive that holds no code of ours.

The result is a function of the table, the settings and the seed; torch's own random state is left as it was.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from inference.onboarding.network import TabularNet
from inference.onboarding.ranks import midranks
from inference.onboarding.table import TableError, as_table, matrix_of, texts_of
from inference.packages.model_toml import ModelPackage
from streams.wire.classes import Classes


class TrainingLimits(msgspec.Struct, frozen=True):
    """How long and how hard to train.

    A batch is a 32nd of the rows, within its bounds; a small table is gone through more often than ``epochs_min``,
    until there were ``steps_min`` steps.
    """

    epochs_min: int = 8
    steps_min: int = 200
    batch_rows_min: int = 32
    batch_rows_max: int = 2048
    learning_rate: float = 1e-2
    weight_decay: float = 1e-4
    hidden: int = 64
    embedding: int = 4
    #: Share of cells hidden from the network in each batch, so that it learns what an unknown level or a missing
    #: number is worth.
    hidden_cells: float = 0.02
    #: Share of rows, the last of the table, kept for the score. Neighbours are often related: a random share flatters.
    holdout: float = 0.2


class Trained(msgspec.Struct, frozen=True):
    """A trained network and how good it is on the rows that it has not seen.

    ``metric`` is ``auc`` (binary), ``accuracy`` (multiclass) or ``r2`` (regression).
    """

    net: TabularNet
    metric: str
    value: float
    rows: int
    seconds: float


def train(
    package: ModelPackage,
    table: Any,
    label: str,
    *,
    seed: int = 0,
    limits: TrainingLimits | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Trained:
    """Train a network for a package's inputs and outputs.

    Parameters
    ----------
    package
        Says the features, the task and the classes.
    table
        Arrow table, pandas frame or Parquet path with the features and the label; rows without a label are left out.
    label
        Name of the label's column.
    on_step
        Told after each batch how many are done, and how many there are.
    """
    began = time.perf_counter()
    limits = limits or TrainingLimits()
    table = as_table(table)
    if label not in table.column_names:
        raise TableError(f"label {label!r} is not in the table; its columns: {', '.join(table.column_names)}")
    table = table.filter(table[label].is_valid())
    inputs, targets = torch.from_numpy(matrix_of(table, package.schema)), _targets(package, table[label])
    kept = _learnt_rows(len(inputs), limits)
    if not 0 < kept < len(inputs):
        raise TableError(f"{len(inputs)} labelled rows are too few to keep {limits.holdout:.0%} for a test")
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        net = _network(package, inputs[:kept], limits)
        _fit(net, package, inputs[:kept], targets[:kept], limits, on_step)
        metric, value = _judge(package.task, net, inputs[kept:], targets[kept:])
    return Trained(net, metric, value, len(inputs), time.perf_counter() - began)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread meanwhile.

    The matrices are small: several threads wait for each other, and on a busy machine, where one of them has no core,
    they do little else (26,000 rows at a load of 10: 40 s, against 2 s with one). One thread also adds in one order,
    whatever the machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def kept_back(table: Any, label: str, limits: TrainingLimits | None = None) -> pa.Table:
    """Rows of a table that `train` does not learn from: the last ones that have a label.

    Parameters
    ----------
    table
        The training table.
    label
        Column with the truth.
    limits
        As of `train`.

    >>> kept_back(pa.table({"x": range(10), "y": [0, 1] * 5}), "y").column("x").to_pylist()
    [8, 9]
    """
    table = as_table(table)
    labelled = table.filter(table[label].is_valid())
    return labelled.slice(_learnt_rows(labelled.num_rows, limits or TrainingLimits()))


def _learnt_rows(rows: int, limits: TrainingLimits) -> int:
    return int(rows * (1 - limits.holdout))


def export(trained: Trained, file: str | Path, batch_rows: int) -> Path:
    """Write the network as a torch.export archive that takes batches of up to so many rows.

    Parameters
    ----------
    file
        Where; missing folders are made.
    batch_rows
        The most rows of a batch: `limits.batch_rows` of the package.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(batch_rows, trained.net.features)
    rows = torch.export.Dim("rows", min=1, max=batch_rows)
    torch.export.save(torch.export.export(trained.net.eval(), (example,), dynamic_shapes=({0: rows},)), file)
    return file


def _targets(package: ModelPackage, column: pa.ChunkedArray) -> Tensor:
    if package.task == "regression":
        return torch.from_numpy(column.cast(pa.float64()).to_numpy().astype(np.float32))
    texts = texts_of(column)
    reader = Classes(package.outputs.classes)
    named = {text: reader.of(text) for text in set(texts)}
    strange = sorted(text for text, name in named.items() if name is None)
    if strange:
        raise TableError(f"label holds {strange[:5]}, but outputs.classes are {list(reader.names)}")
    if package.task == "binary":
        return torch.tensor([float(named[text] == package.outputs.positive) for text in texts])
    class_index = {name: code for code, name in enumerate(reader.names)}
    return torch.tensor([class_index[str(named[text])] for text in texts], dtype=torch.long)


def _network(package: ModelPackage, inputs: Tensor, limits: TrainingLimits) -> TabularNet:
    numbers = [j for j, feature in enumerate(package.schema.features) if feature.kind != "categorical"]
    values = inputs[:, numbers].double()
    finite = torch.isfinite(values)
    n = finite.sum(0).clamp(min=1)
    values = torch.where(finite, values, 0.0)
    centre = values.sum(0) / n
    scale = (torch.where(finite, values - centre, 0.0).square().sum(0) / n).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    activation = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}[package.task]
    outputs = len(package.outputs.classes) if package.task == "multiclass" else 1
    return TabularNet(
        package.schema,
        centre.float(),
        scale.float(),
        outputs=outputs,
        activation=activation,
        hidden=limits.hidden,
        embedding=limits.embedding,
    )


def _fit(
    net: TabularNet,
    package: ModelPackage,
    inputs: Tensor,
    targets: Tensor,
    limits: TrainingLimits,
    on_step: Callable[[int, int], None],
) -> None:
    missing = _missing_row(package)
    centre, scale = torch.zeros(()), torch.ones(())
    loss_of: nn.Module = nn.CrossEntropyLoss()
    if package.task == "binary":
        loss_of = nn.BCEWithLogitsLoss()
    elif package.task == "regression":
        centre, scale, loss_of = targets.mean(), targets.std().clamp(min=1e-12), nn.HuberLoss()
        targets = (targets - centre) / scale
    optimiser = torch.optim.AdamW(net.parameters(), lr=limits.learning_rate, weight_decay=limits.weight_decay)
    batch_rows = min(max(len(inputs) // 32, limits.batch_rows_min), limits.batch_rows_max)
    steps = -(-len(inputs) // batch_rows)
    epochs = max(limits.epochs_min, -(-limits.steps_min // steps))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, limits.learning_rate, total_steps=epochs * steps)
    for epoch in range(epochs):
        for step, rows in enumerate(torch.split(torch.randperm(len(inputs)), batch_rows), 1):
            batch = inputs[rows]
            batch = torch.where(torch.rand_like(batch) < limits.hidden_cells, missing, batch)
            out = net.raw(batch)
            loss = loss_of(out if package.task == "multiclass" else out[:, 0], targets[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            on_step(epoch * steps + step, epochs * steps)
    net.stretch(centre, scale)


def _missing_row(package: ModelPackage) -> Tensor:
    """What a hidden cell holds: NaN, or the code of an unknown level."""
    features = package.schema.features
    return torch.tensor([f.unseen_code if f.kind == "categorical" else torch.nan for f in features])


@torch.inference_mode()
def _judge(task: str, net: TabularNet, inputs: Tensor, targets: Tensor) -> tuple[str, float]:
    out, truth = net(inputs).numpy(), targets.numpy()
    if task == "binary":
        return "auc", auc(truth == 1, out[:, 0])
    if task == "multiclass":
        return "accuracy", float((out.argmax(1) == truth).mean())
    return "r2", float(1 - np.square(truth - out[:, 0]).sum() / max(np.square(truth - truth.mean()).sum(), 1e-12))


def auc(positive: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    >>> auc(np.array([True, False, True, False]), np.array([.9, .1, .4, .4]))
    0.875
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((midranks(score)[positive].sum() - n * (n + 1) / 2) / (n * m))
