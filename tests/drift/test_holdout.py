"""A reference's performance is that of rows that the model has not learnt from, or it judges nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score

import drift
from drift.cells.frames import FrameError
from drift.performance import estimate

BINARY = {"task": "binary", "score": "p", "prediction": "hat", "label": "y"}
FEATURES = ["a", "b", "c"]


def people(n, seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 3)), columns=FEATURES)
    chance = 1 / (1 + np.exp(-table["a"] - table["b"]))
    return table.assign(y=(rng.random(n) < chance).astype(int))


@pytest.fixture(scope="module")
def forest():
    train = people(3_000, 1)
    model = RandomForestClassifier(60, random_state=0).fit(train[FEATURES], train["y"])

    def answered(table):
        p = model.predict_proba(table[FEATURES])[:, 1]
        return table.assign(p=p, hat=(p >= 0.5).astype(int))

    return answered(train), answered(people(3_000, 2)), answered(people(6_000, 3))


def accuracy_of(found):
    return found.performance[found.performance["metric"] == "accuracy"]


def test_figures_scores_and_calibration_are_those_of_the_held_out_rows(forest):
    train, held_out, stream = forest
    reference = drift.Reference.fit(train.drop(columns=["p", "hat"]), **BINARY, holdout=held_out)
    assert (reference.rows, reference.held_out_rows, reference.in_sample) == (3_000, 3_000, False)
    assert reference.performance["accuracy"] == accuracy_score(held_out["y"], held_out["hat"])
    assert reference.performance["auc"] == pytest.approx(roc_auc_score(held_out["y"], held_out["p"]), abs=0.01)
    assert "scores and performance are those of 3,000 held-out rows" in reference.notes
    alone = drift.Reference.fit(held_out, **BINARY, features=FEATURES)
    for name in ("score", "prediction"):
        np.testing.assert_array_equal(reference.of(name), alone.of(name))
    np.testing.assert_array_equal(reference.labels, alone.labels)
    of_train = drift.Reference.fit(train, **BINARY, features=FEATURES)
    np.testing.assert_array_equal(reference.of("a"), of_train.of("a"))
    # CBPE calibrates on the same rows: what it expects of a new stream is what comes.
    expected = estimate(reference, np.bincount(reference.score.index(stream["p"]), minlength=reference.score.size))
    assert expected["accuracy"] == pytest.approx(accuracy_score(stream["y"], stream["hat"]), abs=0.02)
    found = drift.backtest(reference, stream)
    assert found.alerts.empty and len(accuracy_of(found)) == 12


def test_held_out_rows_of_another_number_do_not_change_what_is_compared(forest):
    train, held_out, stream = forest
    few = drift.Reference.fit(train, **BINARY, holdout=held_out[:1_000])
    assert drift.backtest(few, stream).alerts.empty
    assert few.of("score").sum() == 1_000 and few.of("a").sum() == 3_000
    again = drift.Reference.from_bytes(few.to_bytes())
    assert (again.held_out_rows, again.id) == (1_000, few.id)


def test_rows_that_the_model_has_learnt_from_judge_nothing_and_it_is_said(forest):
    train, _, stream = forest
    reference = drift.Reference.fit(train, **BINARY, in_sample=True)
    assert reference.performance["accuracy"] > 0.99, "what it is, is kept"
    assert reference.unjudged in reference.notes and "has learnt from" in reference.unjudged
    found = drift.backtest(reference, stream)
    # Nor are its scores, which lie elsewhere on rows that it has not seen: nothing has happened.
    assert found.alerts.empty
    assert accuracy_of(found)["estimated"].isna().all() and accuracy_of(found)["realised"].notna().all()
    again = drift.Reference.from_bytes(reference.to_bytes())
    assert again.in_sample and again.unjudged == reference.unjudged


def test_features_are_judged_whatever_the_scores_are_of(forest):
    train, _, stream = forest
    reference = drift.Reference.fit(train, **BINARY, in_sample=True)
    moved = drift.backtest(reference, stream.assign(c=stream["c"] + 0.5)).alerts
    assert set(moved["columns"].explode()) == {"c"}


def test_scores_without_labels_are_of_learnt_rows_all_the_same(forest):
    train, _, stream = forest
    reference = drift.Reference.fit(train, task="binary", score="p", prediction="hat", exclude=["y"], in_sample=True)
    assert reference.unjudged in reference.warnings and drift.backtest(reference, stream).alerts.empty
    columns_only = drift.Reference.fit(train, features=FEATURES, exclude=["p", "hat", "y"], in_sample=True)
    assert columns_only.unjudged == ""


def test_a_performance_that_is_too_good_is_doubted(forest):
    train, held_out, _ = forest
    suspicious = [note for note in drift.Reference.fit(train, **BINARY).notes if "almost perfect" in note]
    assert len(suspicious) == 1 and "holdout=" in suspicious[0]
    assert not any("almost perfect" in note for note in drift.Reference.fit(held_out, **BINARY).notes)


def test_a_regression_on_its_own_rows_is_doubted_too_and_held_out_rows_give_its_error():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2_400, 3))
    table = pd.DataFrame(x, columns=FEATURES).assign(y=10 * x[:, 0] + rng.normal(0, 0.5, 2_400))
    model = RandomForestRegressor(60, random_state=0, min_samples_leaf=1).fit(
        table[FEATURES][:1_200], table["y"][:1_200]
    )
    table["p"] = model.predict(table[FEATURES])
    parts = {"task": "regression", "score": "p", "label": "y"}
    train, held_out = table[:1_200], table[1_200:]
    reference = drift.Reference.fit(train, **parts, holdout=held_out)
    assert reference.performance["mae"] == pytest.approx(mean_absolute_error(held_out["y"], held_out["p"]), rel=1e-3)
    assert any("explained variance" in note for note in drift.Reference.fit(train, **parts).notes)


def test_a_class_that_only_the_training_rows_have_is_a_class():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"x": rng.normal(size=900), "y": np.resize(["a", "b", "c"], 900)})
    table = table.assign(p=rng.uniform(0.3, 1, 900), hat=table["y"])
    held_out = table[table["y"] != "c"]
    reference = drift.Reference.fit(table, **{**BINARY, "task": "multiclass"}, holdout=held_out)
    assert reference.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda h: h.drop(columns="p"), "the held-out table lacks the column 'p'"),
        (lambda h: h[:0], "the held-out table holds no row"),
    ],
)
def test_a_held_out_table_that_is_none_is_refused_by_name(forest, change, text):
    train, held_out, _ = forest
    with pytest.raises(FrameError, match=text):
        drift.Reference.fit(train, **BINARY, holdout=change(held_out))


def test_held_out_rows_and_in_sample_contradict_each_other(forest):
    train, held_out, _ = forest
    with pytest.raises(FrameError, match="leave in_sample out"):
        drift.Reference.fit(train, **BINARY, holdout=held_out, in_sample=True)


def test_held_out_rows_come_in_the_order_of_time(forest):
    train, held_out, _ = forest
    days = pd.date_range("2024-01-01", periods=3_000, freq="h")
    ordered = drift.Reference.fit(train.assign(ts=days), **BINARY, holdout=held_out.assign(ts=days), time="ts")
    mixed = held_out.assign(ts=days).sample(frac=1, random_state=0)
    assert drift.Reference.fit(train.assign(ts=days), **BINARY, holdout=mixed, time="ts").id == ordered.id


def test_a_summary_compares_nothing_with_figures_of_learnt_rows(forest):
    import pyarrow as pa

    from drift.analysis.report.summary import summary
    from streams.wire.records import Watch

    train, held_out, stream = forest
    rows = stream[:2_000]
    for options, compared in (({"in_sample": True}, False), ({"holdout": held_out}, True)):
        reference = drift.Reference.fit(train, **BINARY, **options)
        assert bool(reference.expected_performance) is compared
        found = drift.backtest(reference, rows)
        text = summary(reference, found, pa.Table.from_pandas(rows), watch=Watch(), title="t", facts={})
        assert ("are not judged" in text) is not compared
