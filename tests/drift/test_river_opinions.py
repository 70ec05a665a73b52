"""River opinions: River's detectors over a series of windows, told beside alerts, and never in their place."""

import re
import sys

import msgspec
import numpy as np
import pandas as pd
import pytest

import drift
from drift import Reference
from drift.analysis.backtest import ALERTS
from drift.cells.sums import sum_rows
from drift.counting.minutes import pack
from drift.incidents import river_opinions
from drift.incidents.river_opinions import MeanSeries, opinions
from drift.judge.snapshot import encode
from drift.judge.stage import Judge
from drift.performance import label_sums
from streams.wire.records import MINUTE_MS, Alert, LabelSums, PartialCounts, Route, RouteCopy, Watch


def series(means, rows=200):
    made = MeanSeries()
    for place, mean in enumerate(means):
        made.observe(place * MINUTE_MS, int(np.broadcast_to(rows, len(means))[place]), float(mean))
    return made


def shares(change=60, windows=90, low=0.2, high=0.3, seed=0, rows=200):
    """Shares of wrong rows, window by window."""
    p = np.where(np.arange(windows) < change, low, high)
    return np.random.default_rng(seed).binomial(rows, p) / rows


def since(found):
    return {one.detector: None if one.since is None else one.since // MINUTE_MS for one in found}


def test_a_course_keeps_the_newest_windows_in_little_room():
    long = series(np.linspace(0, 1, 1000))
    assert len(long.starts) == river_opinions.WINDOWS_MAX and long.starts[-1] == 999 * MINUTE_MS
    assert len(encode(long)) < 8_000
    long.observe(0, 0, 0.5)  # Without rows it says nothing.
    assert long.starts[-1] == 999 * MINUTE_MS


def test_each_finds_a_step_after_it_came():
    found = since(opinions(series(shares(change=130, windows=200)), "error", True, 130 * MINUTE_MS))
    assert set(found) == {"ADWIN", "Page-Hinkley", "KSWIN", "HDDM-A"}
    # Of 30 windows that KSWIN compares, more than a dozen have to be new; HDDM-A heard the last 48 windows only.
    delays = {name: None if window is None else window - 130 for name, window in found.items()}
    assert delays["Page-Hinkley"] <= 6 and delays["ADWIN"] <= 10 and 8 <= delays["KSWIN"] <= 30


def test_wrong_rows_are_heard_one_by_one():
    found = since(opinions(series(shares(change=30, windows=40)), "error", True, 30 * MINUTE_MS))
    assert 30 <= found["HDDM-A"] <= 36
    assert "HDDM-A" not in since(opinions(series(shares()), "score", False, 0))


def test_rows_are_dealt_to_the_count_and_thinned_alike():
    some = series([0.25, 0.0, 1.0, 0.5], rows=[4, 3, 2, 6])
    dealt = pd.DataFrame(river_opinions._dealt(some), columns=["start", "wrong"])
    assert dealt.groupby("start").wrong.agg(["count", "sum"]).to_numpy().tolist() == [[4, 1], [3, 0], [2, 2], [6, 3]]
    many = pd.DataFrame(river_opinions._dealt(series([0.2, 0.4], rows=[30_000, 10_000])), columns=["start", "wrong"])
    assert many.groupby("start").wrong.agg(["count", "sum"]).to_numpy().tolist() == [[6_000, 1_200], [2_000, 800]]


@pytest.mark.parametrize(("unit", "zero"), [(1000.0, 0.0), (1e-4, 5.0)])
def test_no_unit_is_known(unit, zero):
    plain, other = shares(change=130, windows=200), shares(change=130, windows=200) * unit + zero
    assert opinions(series(other), "score", False, 0) == opinions(series(plain), "score", False, 0)


def test_what_does_not_vary_is_no_change():
    for means in ([], [0.2], [0.0] * 50):
        assert all(one.since is None for one in opinions(series(means), "error", True, 0))


@pytest.mark.system  # many windows
def test_without_a_change_hardly_one_agrees():
    """24 courses of 120 windows of unlike size, asked about their last 15: seeds 0 to 23."""
    rows = np.random.default_rng(99).integers(50, 120, 120)
    false = dict.fromkeys(("ADWIN", "Page-Hinkley", "KSWIN", "HDDM-A"), 0)
    for seed in range(24):
        means = np.random.default_rng(seed).binomial(rows, 0.2) / rows
        for one in opinions(series(means, rows), "error", True, 105 * MINUTE_MS):
            false[one.detector] += one.since is not None
    # At a rate of one in twenty, more than 5 of 24 come once in 700 times.
    assert max(false.values()) <= 5 and false["ADWIN"] == 0


# --- in alerts ----------------------------------------------------------------------------------------


def classes(n, seed, flip=0.0, x=0.0):
    rng = np.random.default_rng(seed)
    feature = rng.normal(x, 1, n)
    p = 1 / (1 + np.exp(-2 * feature))
    return pd.DataFrame({"x": feature, "p": p, "y": ((rng.random(n) < p) ^ (rng.random(n) < flip)).astype(int)})


REFERENCE = Reference.fit(classes(12_000, seed=0), task="binary", score="p", label="y")
HARM = pd.concat([classes(8_000, 1), classes(3_000, 2, flip=0.2)], ignore_index=True)


def test_harm_without_drift_names_who_agrees_and_without_river_is_the_same():
    """The alert, its page and its time are the evidence's own."""
    with_river = drift.backtest(REFERENCE, HARM, rows_per_window=200).alerts
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "river.drift", None)
        without = drift.backtest(REFERENCE, HARM, rows_per_window=200).alerts
    same = [name for name in ALERTS if name != "text"]
    assert with_river[same].to_dict("records") == without[same].to_dict("records")
    (text,) = with_river.text
    clause = text.removeprefix(without.text.iloc[0])
    assert re.fullmatch(r"; River's detectors see the mean error change, too: HDDM-A since row 8,[24]00", clause), (
        clause
    )
    assert with_river.kind.tolist() == ["performance"] and with_river.page.all()


def messages(deal: int, version: str = "v1") -> list[PartialCounts | LabelSums]:
    """Sixty minutes of 100 rows, wrong more often from minute 40 on, as so many partitions would have counted them."""
    frame = pd.concat([classes(4_000, 3), classes(2_000, 4, flip=0.15)], ignore_index=True)
    owner = np.random.default_rng(deal).integers(0, deal, len(frame))
    same = {"model": "m", "version": version, "reference": REFERENCE.id, "first": 0, "last": 0}
    told: list[PartialCounts | LabelSums] = []
    for minute in range(60):
        rows = frame.iloc[minute * 100 : (minute + 1) * 100]
        for partition in range(deal):
            mine = rows[owner[rows.index] == partition]
            cells = label_sums(REFERENCE, mine.p, None, mine.y).astype("<i8").tobytes()
            place = {"topic": "feedback", "partition": partition, "segment": "", "minute_ms": minute * MINUTE_MS}
            told.append(LabelSums(**same, **place, cells=cells))
        for partition in range(deal):
            mine = rows[owner[rows.index] == partition]
            sums = pack(minute * MINUTE_MS, "", False, sum_rows(REFERENCE, REFERENCE.align(mine)))
            ends = {"topic": "requests", "partition": partition, "partitions": deal}
            told.append(PartialCounts(**same, **ends, watermark_ms=(minute + 1) * MINUTE_MS, minutes=[sums]))
    return told


def alerts(deal: int, cut: int) -> list[bytes]:
    """What is told, by a judge that is written down and read back at a cut."""
    watch = Watch(false_alarm_every=1e12, window_rows_min=100, label_wait_ms_max=0, lateness_ms_max=0)
    judge, told = Judge(lambda *_: REFERENCE), []
    judge.step(RouteCopy(model="m", route=Route(model="m", epoch=1, ts=0, champion="v1", watch=watch)))
    for place, message in enumerate(messages(deal)):
        if place == cut:
            snapshot = judge.snapshot()
            judge = Judge(lambda *_: REFERENCE)
            judge.restore(snapshot)
        told += judge.step(message)
    return [msgspec.json.encode(said) for said in [*told, *judge.finish()] if isinstance(said, Alert)]


@pytest.mark.system  # the same windows again and again
def test_any_deal_and_any_restart_tell_the_same_bytes():
    whole = alerts(1, 0)
    assert whole == alerts(3, 250) == alerts(2, 171)
    harm = [said for said in (msgspec.json.decode(value, type=Alert) for value in whole) if said.kind == "performance"]
    fired = [one.since for one in harm[0].opinions if one.since is not None]
    assert fired and min(fired) >= 40 * MINUTE_MS
    assert {one.of for one in harm[0].opinions} == {"error"}


def test_features_have_no_river_opinions():
    moved = pd.concat([classes(4_000, 5), classes(2_000, 6).assign(x=lambda f: f.x + 1)], ignore_index=True)
    found = drift.backtest(REFERENCE, moved.drop(columns="y"), rows_per_window=200).alerts
    assert found.kind.tolist()[0] == "feature" and not found.text.str.contains("the mean").any()
