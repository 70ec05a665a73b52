"""Performance: scikit-learn as oracle, corrections by law, CBPE where only the inputs move."""

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, mean_absolute_error, roc_auc_score
from sklearn.metrics import mean_squared_error as mse

from drift import Reference
from drift.performance import calibrate, estimate, label_sums, ppi, realised, report
from drift.statistics.auc import auc
from drift.statistics.intervals import logit

EMPLOYMENT = files("driftline") / "demo/data"


@pytest.fixture(scope="module")
def employed() -> tuple[Reference, pd.DataFrame]:
    parts = {"score": "predicted_probability", "prediction": "prediction", "label": "employed"}
    reference = Reference.fit(
        str(EMPLOYMENT / "employment_reference.parquet"), task="binary", features=["AGEP"], **parts
    )
    stream = pd.read_parquet(str(EMPLOYMENT / "employment_stream.parquet"))
    return reference, stream.merge(pd.read_parquet(str(EMPLOYMENT / "employment_labels.parquet")), on="id")


def sums_of(reference: Reference, rows: pd.DataFrame, **options) -> np.ndarray:
    return label_sums(reference, rows["predicted_probability"], rows["prediction"], rows["employed"], **options)


def score_counts(reference: Reference, scores) -> np.ndarray:
    return np.bincount(reference.score.index(scores), minlength=reference.score.size)


def test_realised_figures_are_scikit_learns_to_the_width_of_a_cell(employed):
    reference, stream = employed
    for start in range(0, 40_000, 8_000):
        rows = stream[start : start + 8_000]
        found = realised(reference, sums_of(reference, rows))
        truth, score, said = rows["employed"], rows["predicted_probability"], rows["prediction"]
        assert found["accuracy"].value == accuracy_score(truth, said)
        # The threshold is an edge of the score's cells, so F1 is exact.
        assert found["f1"].value == pytest.approx(f1_score(truth, said), abs=1e-12)
        assert found["auc"].value == pytest.approx(roc_auc_score(truth, score), abs=1e-3)
        assert found["brier"].value == pytest.approx(brier_score_loss(truth, score), abs=5e-4)
        assert found["auc"].low < roc_auc_score(truth, score) < found["auc"].high


def test_the_reference_keeps_its_own_figures(employed):
    reference, _ = employed
    table = pd.read_parquet(str(EMPLOYMENT / "employment_reference.parquet"))
    assert reference.performance["accuracy"] == accuracy_score(table["employed"], table["prediction"])
    assert reference.performance["auc"] == pytest.approx(
        roc_auc_score(table["employed"], table["predicted_probability"]), abs=1e-3
    )
    assert set(reference.positive_share) == {0.0, 1.0}


@given(order=st.permutations(range(6)), wrong=st.lists(st.integers(0, 599), max_size=20))
@settings(max_examples=25)
def test_parts_in_any_order_and_corrections_add_up_to_the_same(employed, order, wrong):
    reference, stream = employed
    rows = stream[:600]
    parts = sum(sums_of(reference, rows[100 * k : 100 * k + 100]) for k in order)
    # A wrong label came first, and was taken back.
    flipped = rows.iloc[wrong].assign(employed=lambda r: 1 - r["employed"])
    parts = parts + sums_of(reference, flipped) + sums_of(reference, flipped, sign=-1)
    np.testing.assert_array_equal(parts, sums_of(reference, rows))


def test_labels_in_any_spelling_and_nulls_left_out(employed):
    reference, stream = employed
    rows = stream[:500]
    texts = rows.assign(employed=rows["employed"].astype(str), prediction=rows["prediction"].astype(float))
    np.testing.assert_array_equal(sums_of(reference, texts), sums_of(reference, rows))
    holes = rows.assign(employed=rows["employed"].where(rows.index % 2 == 0))
    np.testing.assert_array_equal(sums_of(reference, holes), sums_of(reference, rows[::2]))


def test_delong_by_scipy_free_hand():
    # Positives 3, 2; negatives 1, 2: pairs 3>1, 3>2, 2>1, 2=2 give 3.5 of 4.
    value, variance = auc([0, 1, 1], [1, 1, 0])
    assert value == 0.875
    # Placements .75, 1 and 1, .75: sample variances .03125 each, over two rows a side.
    assert variance == pytest.approx(0.03125 / 2 + 0.03125 / 2)
    assert np.isnan(auc([1, 1], [0, 0])[0])


def test_interval_of_auc_covers():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        up, down = (np.bincount(rng.binomial(40, p, 150), minlength=41) for p in (0.55, 0.45))
        value, variance = auc(up, down)
        low, high = logit(value, variance)
        covered += low <= EXACT <= high
    assert covered >= 0.92 * 300


def _exact() -> float:
    from scipy.stats import binom

    up, down = binom.pmf(np.arange(41), 40, 0.55), binom.pmf(np.arange(41), 40, 0.45)
    return float(sum(up[i] * (down[:i].sum() + down[i] / 2) for i in range(41)))


EXACT = _exact()


def test_calibration_rises():
    rng = np.random.default_rng(1)
    sums = np.zeros((30, 4), np.int64)
    sums[:, 0] = 200
    sums[:, 1] = rng.binomial(200, np.linspace(0.05, 0.9, 30)) * 4096
    chance = calibrate(sums)
    assert (np.diff(chance) >= 0).all()
    np.testing.assert_allclose(chance, np.linspace(0.05, 0.9, 30), atol=0.08)


def population(rng: np.random.Generator, rows: int, at: float) -> pd.DataFrame:
    """Only the inputs move: the score overstates, the chance given the score stays."""
    score = 1 / (1 + np.exp(-rng.normal(at, 1.5, rows)))
    chance = score**1.3
    label = (rng.random(rows) < chance).astype(int)
    return pd.DataFrame({"x": score, "score": score, "said": (score >= 0.6).astype(int), "label": label})


def test_where_only_the_inputs_move_the_estimate_finds_the_realised_auc():
    rng = np.random.default_rng(2)
    trained = population(rng, 60_000, 0.0)
    reference = Reference.fit(trained, task="binary", score="score", prediction="said", label="label")
    gaps = {"auc": [], "accuracy": [], "f1": [], "brier": []}
    for at in np.linspace(-1, 1, 40):
        rows = population(rng, 5_000, at)
        hoped = estimate(reference, score_counts(reference, rows["score"]))
        # Against the chance of each row: what the realised figure is without its own noise.
        found = realised(reference, label_sums(reference, rows["score"], rows["said"], rows["label"]))
        for metric, gap in gaps.items():
            gap.append(hoped[metric] - found[metric].value)
    assert np.mean(np.abs(gaps["auc"])) < 0.007  # The realised AUC's own standard deviation is about .006 here.
    assert abs(np.mean(gaps["auc"])) < 0.003
    assert abs(np.mean(gaps["accuracy"])) < 0.003
    assert abs(np.mean(gaps["brier"])) < 0.003
    assert abs(np.mean(gaps["f1"])) < 0.005


def test_multiclass_knows_its_hits():
    rng = np.random.default_rng(3)
    top = rng.uniform(0.4, 1, 3_000)
    label = rng.choice(["a", "b", "c"], 3_000)
    said = np.where(rng.random(3_000) < top, label, "z")
    frame = pd.DataFrame({"x": top, "p": top, "said": said, "label": label})
    reference = Reference.fit(frame, task="multiclass", score="p", prediction="said", label="label")
    assert reference.performance["accuracy"] == accuracy_score(label, said)
    assert set(reference.performance) == {"accuracy", "brier", "ece"}
    assert reference.performance["ece"] < 0.05
    hoped = estimate(reference, score_counts(reference, top[top > 0.7]))
    assert hoped["accuracy"] == pytest.approx((label == said)[top > 0.7].mean(), abs=0.02)


def test_regression_errors_in_the_labels_unit():
    rng = np.random.default_rng(4)
    truth = rng.lognormal(10, 0.5, 5_000)
    value = truth * rng.normal(1.02, 0.1, 5_000)
    frame = pd.DataFrame({"x": value, "price": value, "sold": truth})
    reference = Reference.fit(frame, task="regression", prediction="price", label="sold")
    assert reference.score is not None and reference.prediction is None
    assert reference.performance["mae"] == pytest.approx(mean_absolute_error(truth, value), rel=1e-3)
    assert reference.performance["rmse"] == pytest.approx(np.sqrt(mse(truth, value)), rel=1e-3)
    assert reference.performance["bias"] == pytest.approx(np.mean(value - truth), rel=1e-2)
    found = realised(reference, label_sums(reference, value[:500], None, truth[:500]))
    assert found["mae"].low < mean_absolute_error(truth, value) < found["mae"].high


def test_where_only_the_inputs_move_the_estimate_finds_the_realised_errors():
    rng = np.random.default_rng(6)

    def houses(rows: int, at: float) -> pd.DataFrame:
        size = rng.normal(at, 1, rows)  # The larger, the less certain; and the model's values are a little low.
        price = 50 + 10 * size
        return pd.DataFrame({"x": size, "p": price - 1, "y": price + rng.normal(0, np.exp(0.3 * size), rows)})

    reference = Reference.fit(houses(40_000, 0.0), task="regression", score="p", label="y")
    for at in (-1.0, 0.0, 1.0):
        rows = houses(20_000, at)
        hoped = estimate(reference, score_counts(reference, rows["p"]))
        assert hoped["mae"] == pytest.approx((rows["p"] - rows["y"]).abs().mean(), rel=0.04)
        assert hoped["rmse"] == pytest.approx(np.sqrt(((rows["p"] - rows["y"]) ** 2).mean()), rel=0.05)
        assert hoped["bias"] == pytest.approx(-1, abs=0.05)


def test_a_report_of_half_the_labels(employed):
    reference, stream = employed
    rows = stream[:2_000]
    scores = score_counts(reference, rows["predicted_probability"])
    said = {r.metric: r for r in report(reference, scores, sums_of(reference, rows[:1_000]))}
    assert sorted(said) == ["accuracy", "auc", "brier", "ece", "f1"]
    assert all(r.coverage == 0.5 and r.reference == reference.performance[m] for m, r in said.items())
    assert said["auc"].low < said["auc"].realised < said["auc"].high and said["auc"].estimated is not None
    nobody = {r.metric: r for r in report(reference, scores, None)}
    assert nobody["auc"].realised is None and nobody["auc"].coverage == 0.0


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_labels_and_predictions_together_speak_of_all_rows(task):
    rng = np.random.default_rng(8)

    def drawn(rows: int, at: float) -> pd.DataFrame:
        if task == "binary":
            return population(rng, rows, at)
        x = rng.normal(at, 1, rows)
        return pd.DataFrame({"x": x, "score": 2 * x, "label": 2 * x + rng.normal(0, np.exp(0.8 * x), rows)})

    said = {"prediction": "said"} if task == "binary" else {}
    reference = Reference.fit(drawn(20_000, 0.0), task=task, score="score", label="label", **said)
    metric, covered, narrower = ("accuracy" if task == "binary" else "mae"), 0, []
    for _ in range(60):
        rows = drawn(4_000, 0.3)
        wrong = (rows["said"] != rows["label"]) if task == "binary" else (rows["score"] - rows["label"]).abs()
        truth = 1 - wrong.mean() if task == "binary" else wrong.mean()
        known = rows[:400]
        sums = label_sums(reference, known["score"], known.get("said"), known["label"])
        (found,) = [
            one for one in report(reference, score_counts(reference, rows["score"]), sums) if one.metric == metric
        ]
        covered += found.powered_low <= truth <= found.powered_high
        narrower.append((found.powered_high - found.powered_low) / (found.high - found.low))
    assert covered >= 54 and np.mean(narrower) < 1


def test_no_labels_no_estimate():
    reference = Reference.fit(pd.DataFrame({"x": [0.1, 0.2], "p": [0.3, 0.4]}), score="p")
    assert estimate(reference, np.ones(reference.score.size, np.int64)) == {}
    assert report(reference, np.ones(reference.score.size, np.int64), None) == []
    with pytest.raises(ValueError, match="a task and a score"):
        label_sums(reference, [0.1], None, [1])


def test_ppi_is_narrower_than_labels_alone_and_covers():
    rng = np.random.default_rng(5)
    covered, widths = 0, []
    for _ in range(200):
        truth = rng.random(1_000)
        label = (rng.random(1_000) < truth).astype(float)
        found = ppi(label[:100], truth[:100] + 0.1, truth[100:] + 0.1)  # A biased prediction does no harm.
        covered += found.low <= 0.5 <= found.high
        widths.append(found.high - found.low)
    assert covered >= 0.91 * 200
    assert np.mean(widths) < 2 * 1.96 * np.sqrt(0.25 / 100) * 0.95
    with pytest.raises(ValueError, match="rows with labels"):
        ppi(np.array([]), np.array([]), np.array([1.0]))
