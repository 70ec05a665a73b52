import importlib.resources

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from torch import nn

from inference import Limits, ModelPackage, Outputs, Registry, Scorer, TableError, init_package, matrix_of, read_package
from inference.backends import load_artefact
from inference.onboarding.network import TabularNet
from inference.onboarding.training import TrainingLimits, auc, export, train
from streams.wire.schema import Feature, FeatureSchema

pytestmark = pytest.mark.system  # minutes: `make test-all`

QUICK = TrainingLimits(epochs_min=4, steps_min=1, batch_rows_max=128)


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    label, score = rng.random(500) < 0.3, rng.integers(0, 20, 500) / 20  # many ties
    assert auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_the_seed_says_all_and_torchs_own_state_is_left_alone(table, folder):
    package = read_package(folder)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    nets = [train(package, table, "y", seed=seed, limits=QUICK).net.state_dict() for seed in (5, 5, 6)]
    assert torch.equal(torch.get_rng_state(), before)
    same = [all(torch.equal(nets[0][k], net[k]) for k in net) for net in nets[1:]]
    assert same == [True, False]


def test_threads_change_neither_the_network_nor_stay_changed(table, folder, monkeypatch):
    """On small matrices several threads wait for each other: 20 times the time of one, on a busy machine."""
    package, before, raw = read_package(folder), torch.get_num_threads(), TabularNet.raw
    used, nets = [], []
    monkeypatch.setattr(TabularNet, "raw", lambda net, x: used.append(torch.get_num_threads()) or raw(net, x))
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            nets.append(train(package, table, "y", limits=QUICK).net.state_dict())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert set(used) == {1}
    assert all(torch.equal(nets[0][k], nets[1][k]) for k in nets[0])


def test_it_learns_what_there_is_to_learn(table, folder):
    # The label's own probability has an AUC of .896 on the last fifth of this table; 5 % of the cells are null.
    trained = train(read_package(folder), table, "y", limits=TrainingLimits(epochs_min=20, batch_rows_max=128))
    assert trained.metric == "auc" and trained.value > 0.84


def test_a_regression_is_as_good_as_least_squares_on_a_line():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3_000, 2)) * [1, 100] + [0, 5_000]
    y = 1_000 + 50 * x[:, 0] + 0.3 * x[:, 1] + rng.normal(size=3_000) * 5
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    package = ModelPackage(
        name="m", version="v1", task="regression", artefact="m.pt2", inputs=(Feature("a"), Feature("b"))
    )
    trained = train(package, table, "y", limits=TrainingLimits(epochs_min=40, batch_rows_max=64, hidden_cells=0.0))
    best = LinearRegression().fit(x[:2_400], y[:2_400]).score(x[2_400:], y[2_400:])
    assert trained.metric == "r2" and trained.value > best - 0.02


def test_classes_are_told_apart():
    rng = np.random.default_rng(2)
    kind = rng.integers(0, 3, 1_500)
    table = pa.table({"a": kind * 4.0 + rng.normal(size=1_500) * 0.1, "y": np.array(["x", "y", "z"])[kind]})
    package = ModelPackage(
        name="m",
        version="v1",
        task="multiclass",
        artefact="m.pt2",
        inputs=(Feature("a"),),
        outputs=Outputs(("z", "x", "y")),
    )
    trained = train(package, table, "y", limits=TrainingLimits(epochs_min=20, batch_rows_max=64, hidden_cells=0.0))
    assert trained.metric == "accuracy" and trained.value > 0.99


def oracle(net: TabularNet, schema: FeatureSchema, row: np.ndarray) -> float:
    """The network once more, a row at a time, as its docstring describes it."""
    parts, numbers, place = [], [], 0
    centre, scale = net.centre.tolist(), net.scale.tolist()
    table = net.embedding.weight.detach().numpy()
    for feature, value in zip(schema.features, row, strict=True):
        if feature.kind == "categorical":
            parts.append(table[place + int(value)])
            place += len(feature.categories) + 2
        else:
            n = len(numbers)
            numbers.append((0.0, 1.0) if np.isnan(value) else (np.clip((value - centre[n]) / scale[n], -8, 8), 0.0))
    parts += [np.array([z for z, _ in numbers]), np.array([missing for _, missing in numbers])]
    x = np.concatenate(parts)
    for layer in net.layers:
        if isinstance(layer, nn.Linear):
            x = layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()
        else:
            x = np.maximum(x, 0)
    return 1 / (1 + np.exp(-x[0]))


def test_the_exported_network_is_the_one_described(table, folder, tmp_path):
    package = read_package(folder)
    trained = train(package, table, "y", limits=QUICK)
    file = export(trained, tmp_path / "model.pt2", 64)
    odd = np.array([[np.inf, 5, 1], [-np.inf, 6, 0], [np.nan, 0, np.nan], [1e30, 4, 1]], np.float32)
    matrix = np.concatenate([matrix_of(table, package.schema)[:60], odd])
    scores = Scorer(package, load_artefact(package, file.parent))(matrix)
    assert not scores.failures
    expected = [oracle(trained.net, package.schema, row) for row in matrix]
    assert scores.values[:, 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("label", "said"),
    [("nope", "label 'nope' is not in the table"), ("city", "outputs.classes are")],
)
def test_a_label_that_does_not_fit_is_named(table, folder, label, said):
    with pytest.raises(TableError, match=said):
        train(read_package(folder), table, label, limits=QUICK)


def test_employment_in_seconds(tmp_path):
    """Real data: 68,785 persons; the AUC that a stranger's published predictions reach on the same rows is .905."""
    data = importlib.resources.files("driftline") / "demo" / "data" / "employment_reference.parquet"
    with importlib.resources.as_file(data) as file:
        table = pq.read_table(file)
    package = init_package(
        tmp_path / "employment",
        table,
        name="employment",
        artefact="model.pt2",
        label="employed",
        prediction="prediction",
        score="predicted_probability",
        exclude=("id", "year"),
        limits=Limits(batch_rows=512),
    )
    trained = train(package, table, "employed")
    assert trained.value > 0.90
    export(trained, tmp_path / "employment" / "model.pt2", 512)
    registry = Registry(tmp_path / "registry")
    registry.add(tmp_path / "employment")
    scores = registry.load("employment", "v1", on="cpu")(matrix_of(table, package.schema))
    assert not scores.failures
    assert auc(table["employed"].to_numpy() == 1, scores.values[:, 0]) > 0.90
