"""Backtests: tables in, tables out, by the live path; and the real changes of the employment data."""

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import drift
from drift import Reference
from drift.analysis.backtest import ALERTS, PERFORMANCE, REPORTS
from drift.cells.frames import FrameError
from streams.wire.records import Watch

DATA = files("driftline.demo") / "data"
NOT_FEATURES = ("id", "year", "employed", "prediction", "predicted_probability")
#: Group quarters (levels 16 and 17 of RELP) are absent from this row on, and all there is from TURNED to RETURNED.
GONE, TURNED, RETURNED = 69_126, 133_619, 143_889


def table(rows: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    p = 1 / (1 + np.exp(-x))
    return pd.DataFrame({"id": np.arange(rows), "x": x, "p": p, "y": (rng.random(rows) < p).astype(int)})


SCORED = Reference.fit(table(5000, seed=0), task="binary", score="p", label="y", exclude=("id",))
PLAIN = Reference.fit(table(5000, seed=0)[["x"]])


# --- the tables -------------------------------------------------------------------------------------


def test_the_tables_have_the_promised_columns_even_when_empty():
    found = drift.backtest(PLAIN, table(1200))
    assert list(found.reports.columns) == REPORTS == [
        *("window", "first_row", "last_row", "column", "n", "ks", "w1", "psi", "tvd", "null_rate", "unseen_rate"),
        *("effect", "effect_low", "effect_high", "evidence", "drifted", "partial", "verdict"),
    ]  # fmt: skip
    assert list(found.performance.columns) == PERFORMANCE and found.performance.empty
    assert list(found.alerts.columns) == ALERTS and found.alerts.empty
    assert {"estimated", "realised", "low", "high", "coverage"} <= set(PERFORMANCE)


def test_every_row_is_in_one_window_and_the_last_one_is_what_remains():
    found = drift.backtest(PLAIN, table(1234), rows_per_window=500).reports
    assert found[["window", "first_row", "last_row", "n"]].values.tolist() == [
        [0, 0, 499, 500],
        [1, 500, 999, 500],
        [2, 1000, 1233, 234],
    ]


def test_small_windows_that_are_asked_for_are_not_merged():
    assert len(drift.backtest(PLAIN, table(400), rows_per_window=50).reports) == 8


def test_effects_are_those_of_the_statistics():
    stream = table(1000)
    found = drift.backtest(PLAIN, stream, rows_per_window=1000).reports.iloc[0]
    counts = drift.count_rows(PLAIN, PLAIN.align(stream))
    assert found.ks == pytest.approx(np.abs(np.cumsum(counts / 1000 - PLAIN.counts / 5000)).max())


# --- times ------------------------------------------------------------------------------------------


def timed(rows: int) -> pd.DataFrame:
    start = pd.Timestamp("2026-03-01 10:00:10")
    return table(rows).assign(ts=start + pd.to_timedelta(np.arange(rows) * 100, unit="ms"))


def test_windows_of_time_are_named_by_their_start():
    found = drift.backtest(PLAIN, timed(1500), window="1min", time="ts").reports
    # Ten rows a second from 10:00:10 on: 500 rows to the minute's end, then 600, then 400.
    assert found.n.tolist() == [500, 600, 400]
    assert found.window.tolist() == [pd.Timestamp(f"2026-03-01 10:0{k}", tz="UTC") for k in range(3)]


def test_rows_are_taken_in_order_of_time():
    ordered, mixed = timed(1500), timed(1500).sample(frac=1, random_state=3)
    a, b = (drift.backtest(PLAIN, frame, time="ts").reports for frame in (ordered, mixed))
    same = [name for name in REPORTS if name not in ("first_row", "last_row")]
    pd.testing.assert_frame_equal(a[same], b[same])


@pytest.mark.parametrize("spell", [lambda t: t.astype("int64") // 10**6, lambda t: t.dt.strftime("%FT%TZ"),
                                   lambda t: t.dt.tz_localize("Europe/Rome").dt.tz_convert("UTC")])  # fmt: skip
def test_times_may_be_integers_text_or_zoned(spell):
    frame = timed(1500)
    found = drift.backtest(PLAIN, frame.assign(ts=spell(frame.ts)), window="1h", time="ts").reports
    assert found.n.tolist() == [1500]


def test_starved_windows_of_time_merge():
    found = drift.backtest(PLAIN, timed(1500).iloc[::10], time="ts", watch=Watch(window_rows_min=100)).reports
    assert found.n.tolist() == [110, 40]


# --- labels -----------------------------------------------------------------------------------------


def test_labels_may_stand_in_the_stream_or_beside_it():
    stream = table(2000, seed=4)
    inside = drift.backtest(SCORED, stream).performance
    beside = drift.backtest(SCORED, stream.drop(columns="y"), labels=stream[["id", "y"]].sample(frac=1)).performance
    pd.testing.assert_frame_equal(inside, beside)
    auc = inside[inside.metric == "auc"].set_index("window")
    first = stream.iloc[:500]
    # Scores of one cell count as ties.
    assert auc.realised[0] == pytest.approx(roc_auc_score(first.y, first.p), abs=0.005)
    assert auc.low[0] < auc.realised[0] < auc.high[0]
    assert auc.coverage.tolist() == [1.0] * 4


def test_missing_labels_are_missing_coverage():
    stream = table(1000, seed=4)
    found = drift.backtest(SCORED, stream.drop(columns="y"), labels=stream[["id", "y"]].iloc[:250]).performance
    assert found[found.metric == "auc"].coverage.tolist() == [0.5, 0.0]
    none = drift.backtest(SCORED, stream.drop(columns="y")).performance
    assert none.realised.isna().all() and none.estimated.notna().all()


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"window": "1min"}, "needs time="),
        ({"window": "90s", "time": "ts"}, "multiple of a minute"),
        ({"time": "when"}, "lacks the column 'when'"),
        ({"time": "word"}, "cannot be read as times"),
        ({"rows_per_window": 0}, "at least 1"),
        ({"labels": pd.DataFrame({"id": [1], "z": [0]})}, "lacks the column 'y'"),
        ({"labels": pd.DataFrame({"key": [1], "y": [0]})}, "share one column"),
        ({"labels": pd.DataFrame({"id": [1, 1], "y": [0, 1]})}, "stands twice"),
    ],
)
def test_what_cannot_be_done_is_said(how, says):
    with pytest.raises(FrameError, match=says):
        drift.backtest(SCORED, timed(300).assign(word="soon").drop(columns="y"), **how)


def test_labels_need_a_reference_that_knows_them():
    with pytest.raises(FrameError, match=r"Reference\.fit"):
        drift.backtest(PLAIN, table(300), labels=table(300)[["id", "y"]])


# --- real data --------------------------------------------------------------------------------------


#: A watch pages, too, so that the second gate is seen of features.
ALL = Watch(page_from="watch")


@pytest.fixture(scope="module")
def employment():
    return tuple(pd.read_parquet(DATA / f"employment_{name}.parquet") for name in ("reference", "stream", "labels"))


@pytest.fixture(scope="module")
def watched(employment):
    training, stream, _ = employment
    return drift.backtest(Reference.fit(training, exclude=NOT_FEATURES), stream, watch=ALL)


@pytest.mark.system  # all of the employment data
def test_nobody_is_paged_before_group_quarters_vanish(watched):
    paged = watched.alerts[watched.alerts.page]
    assert paged.first_row.min() >= GONE - 500
    before = watched.alerts[watched.alerts.first_row < GONE - 500]
    assert len(before[before.event == "open"]) <= 2 and not before.page.any()


def test_relp_is_found_within_two_windows_and_pages_first(watched):
    opened = watched.alerts[(watched.alerts.event == "open") & (watched.alerts.first_row >= GONE - 500)].iloc[0]
    assert opened["columns"] == ["RELP"] and opened.first_row <= GONE + 2 * 500
    assert abs(opened.change_point - GONE) <= 500
    paged = watched.alerts[watched.alerts.page].iloc[0]
    assert paged.incident == opened.incident and paged.first_row <= GONE + 10 * 500
    assert paged.text.startswith(
        "RELP moved: levels 16 and 17 fell from 7.5 % in the reference data to 0 % since row 69,000"
    )


def test_the_turn_is_another_incident_and_the_return_pages_nobody(watched):
    paged = watched.alerts[watched.alerts.page]
    assert len(paged) == 2
    turn = paged.iloc[1]
    assert TURNED - 500 <= turn.first_row <= TURNED + 500 and "RELP" in turn["columns"]
    assert not (paged.first_row >= RETURNED - 500).any()


@pytest.mark.system  # all of the employment data, and a model of it
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_score_is_told_of_and_its_performance_estimated(employment):
    training, stream, labels = (frame[:TURNED].copy() for frame in employment)
    features = [name for name in training.columns if name not in NOT_FEATURES]
    levels = pd.concat([training, stream])[features].drop(columns="AGEP").astype("category")
    coded = pd.get_dummies(levels, dtype=np.float32)
    for k, frame in enumerate((training, stream)):
        part = slice(0, len(training)) if k == 0 else slice(len(training), None)
        age = frame.AGEP.to_numpy(np.float32)[:, None] / 50
        matrix = np.hstack([coded.iloc[part].to_numpy(), age, age**2, age**3])
        if k == 0:
            model = LogisticRegression(max_iter=60).fit(matrix[::10], training.employed[::10])
        frame["score_"] = model.predict_proba(matrix)[:, 1]
        frame["class_"] = (frame.score_ >= 0.5).astype(int)
    reference = Reference.fit(
        training, task="binary", score="score_", prediction="class_", label="employed", features=features
    )
    found = drift.backtest(reference, stream, labels=labels, watch=ALL)
    paged = found.alerts[found.alerts.page]
    assert paged.first_row.min() >= GONE - 500
    assert (
        "RELP" in paged.iloc[0]["columns"]
        and "levels 16 and 17 fell from 7.5 % in the reference data to 0 %" in paged.iloc[0].text
    )
    opened = found.alerts[(found.alerts.event == "open") & (found.alerts.first_row >= GONE - 500)].iloc[0]
    assert "; whether score and predicted class changed is still unclear after " in opened.text
    auc = found.performance[(found.performance.metric == "auc") & (found.performance.first_row < TURNED - 500)]
    assert auc.coverage.min() == 1
    assert (auc.estimated - auc.realised).abs().mean() < 0.02  # The realised one's own error at 500 rows is .014.


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_halves_of_the_training_data_are_silent(employment, seed):
    training = employment[0].sample(frac=1, random_state=seed)
    half = len(training) // 2
    reference = Reference.fit(training.iloc[:half], exclude=NOT_FEATURES)
    assert drift.backtest(reference, training.iloc[half:]).alerts.empty


@pytest.mark.parametrize("timed", [False, True])
def test_tables_without_a_row_have_the_types_of_those_with_rows(timed):
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        {"x": rng.normal(size=2_000), "ts": pd.date_range("2024-01-01", periods=2_000, freq="1min", tz="UTC")}
    )
    reference = drift.Reference.fit(frame[["x"]])
    how = {"time": "ts", "window": "1h"} if timed else {"rows_per_window": 200}
    moved = drift.backtest(reference, frame.assign(x=frame.x + 2), **how)
    quiet, nothing = drift.backtest(reference, frame, **how), drift.backtest(reference, frame.iloc[:0], **how)
    assert len(moved.alerts) and not len(quiet.alerts) and not len(nothing.reports)
    assert quiet.alerts.dtypes.to_dict() == moved.alerts.dtypes.to_dict()
    assert quiet.alerts[quiet.alerts.page].text.tolist() == []
    asked = ["window", "first_row", "last_row", "column", "n", "ks", "effect", "drifted"]
    assert nothing.reports.dtypes[asked].to_dict() == moved.reports.dtypes[asked].to_dict()


@pytest.mark.parametrize("kind", ["datetime64[ns]", "datetime64[s, UTC]", "int64", "float64", "object", "string"])
def test_a_stream_without_a_row_has_times_of_any_type(kind):
    reference = drift.Reference.fit(pd.DataFrame({"x": np.arange(100.0)}))
    nothing = pd.DataFrame({"x": pd.Series(dtype="float64"), "ts": pd.Series(dtype=kind)})
    assert not len(drift.backtest(reference, nothing, time="ts", window="1h").reports)
