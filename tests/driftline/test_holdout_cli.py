"""Held-out rows, rows that were learnt from, and the positive class, at `model init` and `reference build`."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from typer.testing import CliRunner

from drift.reference.reference import Reference
from driftline.cli import app
from inference import read_package

RULE = """
    import numpy as np

    class Rule:
        def load(self, device): ...

        def predict(self, batch):
            p = 1 / (1 + np.exp(-2 * np.nan_to_num(batch.matrix[:, 0])))
            return {answer}
"""
ONE, TWO, INVERTED = "p", "np.stack([p, 1 - p], axis=1)", "1 - p"


def run(*words, code=0):
    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        assert code == 1, found.exception
        return str(found.exception)
    assert found.exit_code == code, found.output
    return found.stdout if code == 0 else found.output


def rows(n, seed):
    """Customers; the higher ``x``, the likelier they have churned."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    left = rng.random(n) < 1 / (1 + np.exp(-2 * x))
    return pd.DataFrame({"x": x, "z": rng.normal(size=n), "y": np.where(left, "churned", "stayed")})


@pytest.fixture
def made(tmp_path):
    """Make a package of a rule; returns what was said, the package, and the reference."""
    rows(2_000, 1).to_parquet(tmp_path / "train.parquet")
    rows(1_000, 2).to_parquet(tmp_path / "later.parquet")

    def make(answer, *words):
        import textwrap

        (tmp_path / "model.py").write_text(textwrap.dedent(RULE.format(answer=answer)))
        base = ("--data", tmp_path / "train.parquet", "--model", f"{tmp_path}/model.py:Rule", "--label", "y")
        out = tmp_path / "p"
        said = json.loads(run("model", "init", "churn", *base, "--out", out, "--force", "--json", *words))
        return said, read_package(out), Reference.from_bytes((out / "reference.arrow").read_bytes())

    return make


def test_a_models_own_training_table_judges_no_loss_and_it_is_said(made):
    said, _, reference = made(ONE)
    assert said["in_sample"] and reference.in_sample
    assert any("learnt from" in note and "--holdout" in note for note in said["notes"])


def test_held_out_rows_give_performance_scores_and_figures(made, tmp_path):
    said, _, reference = made(ONE, "--holdout", tmp_path / "later.parquet")
    later = rows(1_000, 2)
    p = 1 / (1 + np.exp(-2 * later["x"]))
    assert said["performance"]["auc"] == pytest.approx(roc_auc_score(later["y"] == "churned", p), abs=0.01)
    hat = np.where(p.astype(np.float32) >= 0.5, "churned", "stayed")
    assert said["performance"]["accuracy"] == accuracy_score(later["y"], hat)
    assert (reference.rows, reference.held_out_rows, said["in_sample"]) == (2_000, 1_000, False)


def test_data_that_was_held_out_may_be_said_to_be(made):
    said, _, reference = made(ONE, "--data-is-held-out")
    assert not reference.in_sample and reference.held_out_rows == 0
    assert not any("learnt from" in note for note in said["notes"])


def test_both_at_once_contradict_each_other(tmp_path):
    words = ("--data", "a.parquet", "--model", "m.py:M", "--holdout", tmp_path / "h", "--data-is-held-out")
    assert "leave --data-is-held-out away" in run("model", "init", "churn", *words, code=1)


@pytest.mark.parametrize(
    ("answer", "classes", "positive"),
    [
        (ONE, ("churned", "stayed"), "churned"),
        (INVERTED, ("churned", "stayed"), "stayed"),
        (TWO, ("churned", "stayed"), "stayed"),
        ("np.stack([1 - p, p], axis=1)", ("stayed", "churned"), "stayed"),
    ],
)
def test_the_positive_class_is_the_one_that_the_scores_speak_of(made, tmp_path, answer, classes, positive):
    said, package, reference = made(answer, "--holdout", tmp_path / "later.parquet")
    assert (package.outputs.classes, package.outputs.positive) == (classes, positive)
    assert reference.positive == positive and said["performance"]["auc"] > 0.8
    assert said["performance"]["accuracy"] > 0.7
    assert any("probabilit" in note for note in said["notes"])


def test_a_named_positive_class_stays_and_is_doubted(made):
    said, package, _ = made(ONE, "--positive", "stayed")
    assert package.outputs.positive == "stayed"
    assert any("is it the probability of 'churned'?" in note for note in said["notes"])


@pytest.mark.system  # trains a network
def test_a_network_that_is_trained_here_is_judged_by_rows_that_it_has_not_seen(tmp_path):
    rows(2_000, 1).to_csv(tmp_path / "t.csv", index=False)
    words = ("--data", tmp_path / "t.csv", "--train", "--label", "y", "--out", tmp_path / "p")
    said = run("model", "init", "churn", *words)
    reference = Reference.from_bytes((tmp_path / "p" / "reference.arrow").read_bytes())
    assert (reference.rows, reference.held_out_rows, reference.in_sample) == (2_000, 400, False)
    assert "on 400 held-out rows: accuracy" in said
    trained = float(said.split("trained: auc ")[1].split()[0])
    assert reference.performance["auc"] == pytest.approx(trained, abs=0.01)


def test_reference_build_takes_held_out_rows_and_says_what_they_are(tmp_path):
    train, later = rows(2_000, 1), rows(1_000, 2).assign(p=lambda t: 1 / (1 + np.exp(-2 * t["x"])))
    train.to_csv(tmp_path / "train.csv", index=False)
    later.to_csv(tmp_path / "later.csv", index=False)
    words = ("reference", "build", "--task", "binary", "--score", "p", "--label", "y", "--out", tmp_path / "r.arrow")
    run(*words, "--data", tmp_path / "train.csv", "--holdout", tmp_path / "later.csv")
    shown = run("reference", "show", tmp_path / "r.arrow")
    assert "on 1,000 held-out rows: accuracy" in shown and "probability of 'churned'" in shown
    run(*words, "--data", tmp_path / "later.csv", "--in-sample")
    facts = json.loads(run("reference", "show", tmp_path / "r.arrow", "--json"))
    assert facts["in_sample"] and facts["positive"] == "churned" and facts["classes"] == ["churned", "stayed"]
    assert "which the model has learnt from" in run("reference", "show", tmp_path / "r.arrow")


def test_the_doctor_names_versions_whose_scores_are_not_judged():
    from drift.reference.catalogue import Unwatched
    from driftline.doctor.models import unjudged
    from streams.wire.records import Route

    table = rows(500, 1).assign(p=lambda t: 1 / (1 + np.exp(-2 * t["x"])))
    parts = {"task": "binary", "score": "p", "label": "y"}
    known = {"v1": Reference.fit(table, **parts, in_sample=True), "v2": Reference.fit(table, **parts)}

    def catalogue(model, version):
        if version not in known:
            raise Unwatched(model, version)
        return known[version]

    routes = [Route(model="churn", epoch=1, ts=0, champion="v1", canary={"v2": 0.1, "v3": 0.1})]
    (finding,) = unjudged(routes, catalogue)
    assert finding.state == "warn" and finding.said.startswith("churn v1: scores and performance are not judged")
