"""The loss of a model whose reference was mixed: days differ, and nobody could know from the reference."""

import numpy as np
import pandas as pd
import pytest

import drift
from drift.performance.losses import losses
from drift.reference.learning import LOSS_WINDOWS_MIN, LossLearning

ROWS, START = 400, pd.Timestamp("2024-03-01", tz="UTC")


def days(seed: int, number: int, spread: float, worse_from: int | None = None) -> pd.DataFrame:
    """Days of rows, each with its own share of labels that are turned over, about a fifth of them."""
    rng = np.random.default_rng(seed)
    flips = np.clip(rng.normal(0.2, spread, number), 0, 1)
    if worse_from is not None:
        flips[worse_from:] += 0.3
    day = np.repeat(np.arange(number), ROWS)
    x = rng.normal(size=len(day))
    p = 1 / (1 + np.exp(-2 * x))
    y = (rng.random(len(day)) < p) ^ (rng.random(len(day)) < flips[day])
    return pd.DataFrame({"ts": START + pd.to_timedelta(day, unit="D"), "x": x, "p": p, "y": y.astype(int)})


def pages(mixed: bool, stream: pd.DataFrame) -> list[int]:
    """Days of the stream whose window paged about performance."""
    rows = days(1, 60, 0.08)
    rows = rows.sample(frac=1, random_state=1) if mixed else rows
    reference = drift.Reference.fit(rows, task="binary", score="p", label="y")
    assert reference.order == ("unknown" if mixed else "time")
    alerts = drift.backtest(reference, stream, time="ts", window="1D", false_alarm_every=1_000).alerts
    told = alerts[(alerts["kind"] == "performance") & alerts["page"]]
    return ((told["window"] - START) // pd.Timedelta("1D")).tolist()


@pytest.mark.parametrize("seed", range(2, 6))
def test_days_that_differ_as_those_of_the_training_data_page_nobody(seed):
    assert pages(True, days(seed, 40, 0.08)) == []


@pytest.mark.parametrize("worse_from", [0, 20])
def test_a_model_that_has_grown_worse_is_told_all_the_same(worse_from):
    told = pages(True, days(2, 60, 0.08, worse_from))
    assert told and worse_from <= told[0] < worse_from + 12


def test_what_is_learnt_is_the_variance_of_means_over_that_of_independent_rows():
    rng, learning = np.random.default_rng(3), LossLearning()
    means = rng.normal(0.4, 0.1, 30)
    for mean in means:
        learning.observe(100, 100 * mean, 100 * mean)  # Wrong or right: squares are the losses.
    within = means.mean() * (1 - means.mean())
    expected = 100 * means.var(ddof=1) / within * np.exp(1.645 * np.sqrt(2 / 29))
    assert learning.effect(1.0) == pytest.approx(expected)
    assert learning.effect(1e6) == 1e6


def test_independent_windows_widen_nothing_and_too_few_judge_nothing():
    rng, learning = np.random.default_rng(4), LossLearning()
    for seen in range(30):
        assert learning.ready == (seen >= LOSS_WINDOWS_MIN)
        wrong = int(rng.binomial(200, 0.2))
        learning.observe(200, wrong, wrong)
        assert learning.effect(1.5) == 1.5
    learning.observe(200, 200, 200)
    assert learning.windows == 30  # A later one teaches nothing.


def test_losses_of_rows_that_hang_together_are_less_certain():
    reference = drift.Reference.fit(days(1, 20, 0.0), task="binary", score="p", label="y")
    plain, wide = losses(reference, 0.05), losses(reference, 0.05, 9.0)
    for one, other in zip(plain, wide, strict=True):
        assert other.error == pytest.approx(one.error * np.sqrt(9 / one.design_effect))
        assert other.bound >= one.bound and other.mean == one.mean
