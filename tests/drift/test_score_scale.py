"""Scores that are no probabilities are noticed when the reference is made, with the remedy."""

import numpy as np
import pandas as pd
import pytest

import drift


def notes(transform, task: str = "binary") -> str:
    rng = np.random.default_rng(3)
    x = rng.normal(size=2_000)
    p = 1 / (1 + np.exp(-x))
    frame = pd.DataFrame({"x": x, "y": (rng.random(2_000) < p).astype(int), "hat": (p > 0.5).astype(int)})
    frame["s"] = transform(p)
    return " ".join(drift.Reference.fit(frame, task=task, score="s", prediction="hat", label="y").notes)


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (lambda p: 100 * p, "look like percent.*divide them by 100"),
        (lambda p: (100 * p).round().astype(int), "look like percent"),
        (lambda p: np.log(p / (1 - p)), "are no probabilities.*make probabilities of them"),
        (lambda p: 1000 * p, "are no probabilities"),
    ],
)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_scores_that_are_no_probabilities_are_told_of(transform, words, task):
    assert pd.Series([notes(transform, task)]).str.contains(words).item()


@pytest.mark.parametrize("transform", [lambda p: p, lambda p: (p > 0.5).astype(float), lambda p: p / 100])
def test_probabilities_are_not(transform):
    assert "scores lie" not in notes(transform)


def test_a_regression_has_scores_of_any_size():
    assert "scores lie" not in notes(lambda p: 100 * p, "regression")
