"""Realised loss: losses out of label sums, the evidence that they have grown, and the incident that follows."""

import re

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import drift
from drift import Reference
from drift.counting.stage import count_rows
from drift.evidence import Risk, performance_share
from drift.performance import label_sums
from drift.performance.calibration import mean_score
from drift.performance.losses import amount, growth, losses
from drift.performance.outside import outside
from streams.wire.records import Watch

N = 12_000


def values(n, seed, noise=1.0, x=0.0):
    """A regression: the error's size grows with ``noise``, the inputs move with ``x``."""
    rng = np.random.default_rng(seed)
    feature = rng.normal(x, 1, n)
    return pd.DataFrame({"x": feature, "p": 2 * feature, "y": 2 * feature + noise * rng.normal(size=n)})


def classes(n, seed, flip=0.0, x=0.0, slope=2.0):
    """Two classes; a share of ``flip`` of the labels is turned over."""
    rng = np.random.default_rng(seed)
    feature = rng.normal(x, 1, n)
    p = 1 / (1 + np.exp(-slope * feature))
    return pd.DataFrame({"x": feature, "p": p, "y": ((rng.random(n) < p) ^ (rng.random(n) < flip)).astype(int)})


VALUES = Reference.fit(values(N, seed=0), task="regression", score="p", label="y")
CLASSES = Reference.fit(classes(N, seed=0), task="binary", score="p", label="y")


def sums(reference, frame):
    return label_sums(reference, frame["p"], None, frame["y"])


# --- losses -----------------------------------------------------------------------------------------


def test_amounts_are_those_of_the_rows():
    frame = classes(900, seed=3)
    wrong = (frame.p >= 0.5) != frame.y
    found = amount(CLASSES, "accuracy", sums(CLASSES, frame))
    assert (found.rows, found.total, found.squares) == (900, wrong.sum(), wrong.sum())
    # Each score counts at the mean that its cell had on the training data.
    at = mean_score(CLASSES.labels)[CLASSES.score.index(frame.p)]
    squared = (at - frame.y) ** 2
    found = amount(CLASSES, "brier", sums(CLASSES, frame))
    assert (found.total, found.squares) == pytest.approx((squared.sum(), (squared**2).sum()))
    frame = values(900, seed=3)
    found = amount(VALUES, "mae", sums(VALUES, frame))
    size = (frame.p - frame.y).abs()
    assert (found.rows, found.mean, found.squares / 900) == pytest.approx(
        (900, size.mean(), (size**2).mean()), rel=1e-3
    )


def test_the_bound_is_the_upper_end_and_at_least_half_the_tolerance():
    (loss,) = losses(VALUES, 0.02)
    size = (values(N, seed=0).p - values(N, seed=0).y).abs()
    assert loss.bound == pytest.approx(size.mean() + 1.96 * size.std() / np.sqrt(N), rel=1e-3)
    (loss,) = losses(VALUES, 0.2)
    assert loss.bound == pytest.approx(1.1 * size.mean(), rel=1e-3)
    assert [found.metric for found in losses(CLASSES, 0.05)] == ["accuracy", "brier", "log_loss"]
    assert losses(Reference.fit(values(300, seed=0)[["x"]]), 0.05) == []


def test_a_perfect_model_has_no_loss_to_compare_with():
    frame = values(500, seed=1).assign(y=lambda f: f.p)
    assert losses(Reference.fit(frame, task="regression", score="p", label="y"), 0.05) == []


def test_wealth_is_the_product_over_rows():
    frame = classes(400, seed=5)
    wrong = ((frame.p >= 0.5) != frame.y).to_numpy(float)
    squared = (mean_score(CLASSES.labels)[CLASSES.score.index(frame.p)] - frame.y.to_numpy()) ** 2
    sure = np.clip(mean_score(CLASSES.labels)[CLASSES.score.index(frame.p)], 0.01, 0.99)
    surprise = -np.log(np.where(frame.y == 1, sure, 1 - sure))
    for loss, rows in zip(losses(CLASSES, 0.05), (wrong, squared, surprise), strict=True):
        expected = [np.log1p(bet * (rows / loss.bound - 1)).sum() for bet in loss.bets]
        np.testing.assert_allclose(growth(CLASSES, loss, sums(CLASSES, frame)), expected)


def test_of_error_sizes_wealth_is_never_more_than_the_product_nor_than_that_of_parts():
    (loss,) = losses(VALUES, 0.05)
    frame = values(400, seed=5, noise=1.3)
    size = (frame.p - frame.y).abs().to_numpy()
    exact = np.array([np.log1p(bet * (size / loss.bound - 1)).sum() for bet in loss.bets])
    found = growth(VALUES, loss, sums(VALUES, frame))
    assert (found <= exact + 1e-6).all() and found[0] > 0.8 * exact[0]
    halves = [growth(VALUES, loss, sums(VALUES, half)) for half in (frame[:150], frame[150:])]
    assert (found <= sum(halves) + 1e-6).all() and (sum(halves) <= exact + 1e-6).all()


@pytest.mark.system  # draws hundreds of tables
@pytest.mark.parametrize(("reference", "make"), [(VALUES, values), (CLASSES, classes)])
def test_at_the_bound_wealth_is_one_on_average_at_the_most(reference, make):
    # The rows of a worse stream, thinned so that their mean loss is the bound; 1,000 windows of 20 of them.
    rng = np.random.default_rng(8)
    worse = {"noise": 1.6} if make is values else {"flip": 0.3}
    several = [make(4000, 8), make(4000, 9, **worse)]
    for loss in losses(reference, 0.05):
        low, high = (amount(reference, loss.metric, sums(reference, frame)).mean for frame in several)
        share = (loss.bound - low) / (high - low)
        made = []
        for _ in range(1000):
            take = rng.binomial(20, share)
            frame = pd.concat(
                [several[0].iloc[rng.integers(0, 4000, 20 - take)], several[1].iloc[rng.integers(0, 4000, take)]]
            )
            made.append(np.exp(growth(reference, loss, sums(reference, frame))))
        made = np.array(made)
        error = made.std(axis=0) / np.sqrt(len(made))
        assert (made.mean(axis=0) <= 1 + 4 * error).all()


def test_rows_that_hang_together_count_less():
    alone, thrice = values(3000, seed=2), values(1000, seed=2)
    thrice = thrice.loc[np.repeat(thrice.index, 3)]
    once, often = (
        Reference.fit(f, task="regression", score="p", label="y").loss_design_effect for f in (alone, thrice)
    )
    assert once == pytest.approx(1, abs=0.1) and often == pytest.approx(3, abs=0.7)
    again = Reference.from_bytes(Reference.fit(thrice, task="regression", score="p", label="y").to_bytes())
    assert again.loss_design_effect == often


# --- risk -------------------------------------------------------------------------------------------


def test_the_sum_over_starts_and_the_best_of_them_are_those_of_all_starts():
    rng = np.random.default_rng(1)
    made = rng.normal(-0.2, 1, (30, 2, 3))
    risk = Risk.over(2, 3, cells=1)
    for number, window in enumerate(made):
        risk.observe(window, 10, np.array([[5, 1, 1, 1]]), number * 1000)
    starts = np.cumsum(made[::-1], axis=0)[::-1]  # Wealth from each start to the end.
    np.testing.assert_allclose(risk.summed, np.log(np.exp(starts).sum(axis=0)))
    np.testing.assert_array_equal(risk.starts, starts.argmax(axis=0))
    np.testing.assert_allclose(risk.log_evidence, np.log(np.exp(starts).sum(axis=0).mean()))
    rows, labels = risk.stretch(1)
    best = risk.highest[1].argmax()
    assert rows == 10 * (30 - risk.starts[1, best]) and labels[0, 0] == rows / 2
    assert risk.change_point(1)[0] == 1000 * risk.starts[1, best]


def test_the_budget_is_split_over_the_kinds_that_there_are():
    assert performance_share(CLASSES.columns, Watch().budget) == pytest.approx(0.5 / 0.9)
    assert performance_share(CLASSES.columns, {"feature": 1.0}) == 0


# --- incidents --------------------------------------------------------------------------------------


def told(reference, *frames, **how):
    return drift.backtest(reference, pd.concat(frames, ignore_index=True), rows_per_window=200, **how).alerts


def test_an_error_that_grows_by_a_quarter_pages_critical_within_1200_rows():
    found = [told(VALUES, values(6000, seed), values(2000, seed + 50, noise=1.25)) for seed in (1, 2, 3)]
    for alerts in found:
        assert alerts.kind.tolist() == ["performance"] and alerts.page.all()
        (one,) = alerts.itertuples()
        assert (one.severity, one.event, one.columns) == ("critical", "open", ["mae"])
        assert 6000 <= one.first_row <= 6000 + 1200 - 200
        assert abs(one.change_point - 6000) <= 600
        assert one.text.startswith("the mean absolute error rose from 0.79")
        assert "; labels cover 100 %" in one.text


def test_an_error_that_shrinks_while_every_column_moves_is_no_loss():
    alerts = told(VALUES, values(6000, 4), values(4000, 5, noise=0.6, x=1.0))
    assert {"feature", "prediction"} & set(alerts[alerts.page].kind) and "performance" not in set(alerts.kind)


def test_drift_without_harm_is_no_loss_of_performance():
    assert "performance" not in set(told(CLASSES, classes(6000, 4), classes(6000, 5, x=1.0)).kind)


def test_harm_without_drift_pages_and_says_how_much_is_known():
    stream = pd.concat([classes(6000, 6), classes(6000, 7, flip=0.12)], ignore_index=True)
    stream["id"] = np.arange(len(stream))
    labels = stream.loc[stream.id % 2 == 0, ["id", "y"]]
    alerts = told(CLASSES, stream.drop(columns="y"), labels=labels)
    assert alerts.kind.tolist() == ["performance"] and alerts.first_row.iloc[0] >= 6000
    was = 100 * CLASSES.performance["accuracy"]
    assert alerts.text.iloc[0].startswith(f"accuracy fell from {was:.1f} % in the reference data to ")
    assert "the log loss rose from" in alerts.text.iloc[0] and "; labels cover 50 %" in alerts.text.iloc[0]


def test_probabilities_that_are_off_while_fewer_are_wrong_page_nobody():
    # The model says .12 or .88 where it is right nearly always: a poor calibration, and an improvement.
    alerts = told(CLASSES, classes(3000, 8).assign(y=lambda f: (f.p >= 0.5).astype(int)))
    assert "performance" not in set(alerts.kind)


def test_what_is_worse_by_less_than_the_tolerance_is_a_warning_and_pages_when_it_grows():
    wide = Watch(tolerances={"performance": 0.2})
    alerts = told(VALUES, values(16_000, 17, noise=1.17), values(2000, 18, noise=1.6), watch=wide)
    assert alerts.event.tolist()[:2] == ["open", "update"] and alerts.severity.tolist()[:2] == ["warning", "critical"]
    assert alerts.page.tolist()[:2] == [False, True] and alerts.incident.nunique() == 1
    # Its first figure was that of all rows since the small harm began; the newest are worse by far, and told.
    assert len(alerts) == 3 and "rose further" in alerts.text.iloc[2]
    assert "; not yet certain that the mean absolute error grew by more than the tolerated 20 %" in alerts.text.iloc[0]
    assert alerts.first_row.iloc[0] < 16_000 <= alerts.first_row.iloc[1]


def test_scores_that_promise_less_are_a_warning_without_labels():
    def near(n, seed):  # Inputs where the model is never sure.
        return classes(n, seed).assign(x=lambda f: f.x / 3, p=lambda f: 1 / (1 + np.exp(-2 * f.x)))

    stream = pd.concat([classes(4000, 20), near(4000, 21), classes(16_000, 22)]).drop(columns="y")
    alerts = drift.backtest(CLASSES, stream, rows_per_window=200).alerts
    warned = alerts[alerts.kind == "performance"]
    assert warned.event.tolist() == ["open", "close"] and set(warned.severity) == {"warning"} and not warned.page.any()
    said = re.match(
        r"estimated accuracy fell from (.*) % in the reference data to (.*) % since row 4,000; that",
        warned.text.iloc[0],
    )
    # By the law of the inputs: the mean of max(p, 1 - p), for x ~ N(0, 1) and N(0, 1/9).
    expected = [
        np.mean(1 / (1 + np.exp(-2 * np.abs(norm.ppf((np.arange(999) + 0.5) / 999) * sd)))) for sd in (1, 1 / 3)
    ]
    assert [float(share) for share in said.groups()] == pytest.approx(100 * np.array(expected), abs=2.5)
    assert 4000 <= warned.first_row.iloc[0] < 4600


def test_an_estimate_of_rows_outside_the_training_data_neither_opens_nor_closes():
    # The score follows x through the model; then x leaves what it was trained on, and labels would say .5.
    far = classes(6000, 21).assign(x=lambda f: f.x + 30, p=lambda f: 0.5 + (f.p - 0.5) / 3)
    stream = pd.concat([classes(4000, 20), far]).drop(columns="y")
    found = drift.backtest(CLASSES, stream, rows_per_window=200)
    assert "performance" not in set(found.alerts.kind) and "score" in {c for cs in found.alerts["columns"] for c in cs}


def test_a_report_says_which_part_of_its_rows_lies_outside_the_training_data():
    inside = outside(CLASSES, _counts(CLASSES, classes(2000, 30)))
    gone = classes(2000, 31).assign(x=lambda f: f.x.where(np.arange(2000) % 4 > 0, 50.0))
    assert inside < 0.005 and outside(CLASSES, _counts(CLASSES, gone)) == pytest.approx(0.25, abs=0.005)
    empty = classes(2000, 32).assign(x=lambda f: f.x.where(np.arange(2000) % 2 > 0))
    assert outside(CLASSES, _counts(CLASSES, empty)) == pytest.approx(0.5, abs=0.005)


def _counts(reference, frame):
    return count_rows(reference, reference.align(frame))


def test_it_closes_when_it_is_long_back_and_the_next_one_is_news():
    back = values(12_000, 11)
    alerts = told(VALUES, values(2000, 9), values(2000, 10, noise=1.5), back, values(2000, 12, noise=1.5))
    assert alerts.event.tolist() == ["open", "close", "open"]
    assert alerts.incident.tolist() == ["backtest-1", "backtest-1", "backtest-2"]
    # It settles over 3,000 rows; what had happened is said with its end.
    assert re.fullmatch(
        r"the mean absolute error is back at 0\.[78]\d* \(0\.79\d in the reference data\); "
        r"it had been worse from row 2,000 to row 4,000, 1\.[12]\d on average",
        alerts.text.iloc[1],
    )
    assert 4000 + 2800 <= alerts.first_row.iloc[1] <= 4000 + 4000
    assert alerts.change_point.iloc[2] == pytest.approx(16_000, abs=600)


@pytest.mark.system  # many windows
def test_nothing_is_said_while_the_loss_stays():
    assert told(VALUES, values(40_000, 13)).empty and told(CLASSES, classes(40_000, 14)).empty


def test_the_tolerance_is_the_user_s():
    frames = values(3000, 15), values(6000, 16, noise=1.25)
    assert told(VALUES, *frames, watch=Watch(tolerances={"performance": 0.5})).empty


def test_what_it_remembers_does_not_grow():
    risk = Risk.over(2, 4, 40)
    sizes = set()
    for number in range(50):
        risk.observe(np.zeros((2, 4)), 10, np.zeros((40, 4), np.int64), number)
        sizes.add(sum(getattr(risk, name).nbytes for name in msgspec.structs.asdict(risk) if name != "windows"))
    assert len(sizes) == 1


# --- a loss far beyond what it was ------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0, 100.0])
@pytest.mark.parametrize("zeros", [0.0, 0.9])
def test_what_a_bet_is_told_to_have_made_is_no_more_than_it_made_of_the_rows(noise, zeros):
    (loss,) = losses(VALUES, 0.05)
    frame = values(2_000, seed=21, noise=noise)
    frame["y"] = np.where(np.random.default_rng(2).random(len(frame)) < zeros, frame.p, frame.y)
    size = np.abs(frame.p - frame.y).to_numpy()
    made = np.log1p(np.outer(loss.bets, size / loss.bound - 1)).sum(axis=1) / loss.design_effect
    told = growth(VALUES, loss, sums(VALUES, frame))
    assert (told <= made + 0.5).all()  # The sums are rounded.
    assert noise < 3 or told.max() > 10 or zeros


@pytest.mark.parametrize("times", [2, 5, 10, 30, 100, 300, 10_000])
def test_a_loss_is_told_however_large_it_has_become(times):
    alerts = drift.backtest(VALUES, values(5_000, seed=22, noise=times)).alerts
    paged = alerts[(alerts.kind == "performance") & alerts.page]
    assert paged.window.tolist()[:1] in ([0], [1]) and paged.severity.iloc[0] == "critical"


def test_labels_of_which_a_tenth_stand_for_missing_are_told():
    stream = values(5_000, seed=23)
    stream.loc[stream.index % 10 == 0, "y"] = -999.0
    alerts = drift.backtest(VALUES, stream).alerts
    assert alerts[(alerts.kind == "performance") & alerts.page].window.min() <= 1
