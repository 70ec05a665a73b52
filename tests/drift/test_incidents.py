"""Incidents: opened by evidence, paged by effect, dated, named, and closed; each rule on a stream made for it."""

import re

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from scipy import stats

import drift
from drift import Reference
from drift.incidents.retraining import COOL_DOWN_MS, order
from drift.incidents.spelling import percent
from streams.wire.records import Alert, MovedColumn, Watch
from streams.wire.schema import Feature, FeatureSchema

CITIES = ["Rome", "Oslo", "Bern", "Ulm"]
USUAL = (0.4, 0.3, 0.2, 0.1)


def rows(n, seed, city=USUAL, x=0.0, scale=1.0, null=0.0, other=0.0):
    """Rows of three independent columns; ``city`` are the levels' shares, ``x`` shifts, ``null`` empties y."""
    rng = np.random.default_rng(seed)
    y = rng.normal(other, 1, n)
    y[rng.random(n) < null] = np.nan
    return pd.DataFrame({"city": rng.choice(CITIES, n, p=city), "x": rng.normal(x, scale, n), "y": y})


def stream(*stretches):
    return pd.concat([rows(n, seed, **how) for seed, (n, how) in enumerate(stretches, start=1)], ignore_index=True)


@pytest.fixture(scope="module")
def reference():
    return Reference.fit(rows(20_000, seed=0))


#: Here a watch pages, too: so the second gate is seen of features.
ALL = Watch(page_from="watch")


def alerts(reference, *stretches, watch=ALL):
    return drift.backtest(reference, stream(*stretches), false_alarm_every=10_000, watch=watch).alerts


GONE = {"city": (0.45, 0.33, 0.22, 0.0)}


def was_ulm(reference):
    return percent(reference.of("city")[reference.columns[0].labels.index("Ulm")] / 20_000)


def test_nothing_is_said_while_nothing_changes(reference):
    assert alerts(reference, (100_000, {})).empty


def test_a_vanished_level_opens_pages_and_says_which_in_one_event(reference):
    found = alerts(reference, (10_000, {}), (5_000, GONE))
    assert found.event.tolist() == ["open"] and found.page.tolist() == [True]
    first = found.iloc[0]
    assert first.first_row in (10_000, 10_500) and first.change_point == 10_000
    assert first["columns"] == ["city"]
    assert (
        first.text
        == f"city moved: level Ulm fell from {was_ulm(reference)} in the reference data to 0 % since row 10,000"
    )
    assert found.page.sum() == 1


def test_a_small_shift_opens_and_never_pages(reference):
    # .1 sd is D = .04, below the tolerance of .05 (STATISTICS 3.7).
    found = alerts(reference, (10_000, {}), (60_000, {"x": 0.1}))
    assert found.event.iloc[0] == "open" and found["columns"].iloc[0] == ["x"]
    assert re.search(
        r"; the KS distance is 0\.0\d+ to 0\.\d+, not yet certainly above the tolerance of 0\.05$", found.text.iloc[0]
    )
    assert not found.page.any()


def test_an_opened_incident_pages_when_its_effect_has_grown(reference):
    found = alerts(reference, (10_000, {}), (10_000, {"x": 0.1}), (60_000, {"x": 0.5}))
    paged = found[found.page]
    assert found.event.iloc[0] == "open" and found.first_row.iloc[0] < 20_000
    assert len(paged) == 1 and 20_000 <= paged.first_row.iloc[0] <= 21_000


def test_a_numeric_column_is_told_by_the_edge_that_was_crossed(reference):
    found = alerts(reference, (10_000, {}), (5_000, {"x": 1.0}))
    text = found[found.page].text.iloc[0]
    said = re.fullmatch(
        r"x moved: the share of values of (\S+) or more rose from (\S+) % in the reference data to (\S+) % "
        r"since row 10,000",
        text,
    )
    # The gap of two normals one apart is widest half way, at .5: .309 are above it before and .691 after.
    edge, was, now = map(float, said.groups())
    assert edge == pytest.approx(0.5, abs=0.15)
    assert was == pytest.approx(100 * stats.norm.sf(edge), abs=1.5)
    assert now == pytest.approx(100 * stats.norm.sf(edge - 1), abs=5)


def test_a_wider_spread_is_seen_without_a_shift(reference):
    found = alerts(reference, (10_000, {}), (20_000, {"scale": 1.6}))
    assert found["columns"].iloc[0] == ["x"] and found.first_row.iloc[0] <= 10_500


def test_nulls_are_a_matter_of_quality_and_of_one_point(reference):
    found = alerts(reference, (10_000, {}), (10_000, {"null": 0.03}))
    paged = found[found.page].iloc[0]
    assert paged.kind == "quality" and paged["columns"] == ["y"]
    assert paged.text.startswith("y moved: null values rose from 0 % in the reference data to ")


def test_values_out_of_range_are_a_matter_of_quality_and_of_one_point():
    calm = rows(20_000, seed=0)[["x", "y"]]
    schema = FeatureSchema((Feature("x", "numeric", low=-6.0, high=6.0), Feature("y", "numeric")))
    bounded = Reference.fit(calm, features=schema)
    moved = rows(10_000, seed=2)[["x", "y"]]
    moved.loc[np.random.default_rng(3).random(10_000) < 0.03, "x"] = 7.0
    calm = rows(10_000, seed=1)[["x", "y"]]
    found = drift.backtest(bounded, pd.concat([calm, moved]), false_alarm_every=10_000, watch=ALL)
    paged = found.alerts[found.alerts.page].iloc[0]
    assert (paged.kind, paged["columns"]) == ("quality", ["x"])
    assert re.match(r"x moved: out-of-range values rose from 0 % in the reference data to [234]", paged.text)


def test_columns_that_move_together_share_an_incident(reference):
    found = alerts(reference, (10_000, {}), (10_000, {"x": 0.5, "other": 0.5, **GONE}))
    assert set(found.incident) == {"backtest-1"} and found.page.sum() == 1
    assert sorted(found["columns"].iloc[-1]) == ["city", "x", "y"]


def test_columns_that_move_far_apart_in_time_do_not(reference):
    found = alerts(reference, (10_000, {}), (10_000, {"x": 0.5}), (10_000, {"x": 0.5, **GONE}))
    paged = found[found.page]
    assert paged.incident.tolist() == ["backtest-1", "backtest-2"]
    assert [columns[0] for columns in paged["columns"]] == ["x", "city"]


def test_a_return_settles_closes_and_pages_nobody(reference):
    found = alerts(reference, (10_000, {}), (10_000, GONE), (30_000, {}))
    assert found.event.tolist() == ["open", "close"]
    assert found.page.tolist() == [True, False]
    # It settles over 3,000 rows before anything is said.
    assert 22_500 <= found.first_row.iloc[-1] <= 24_500
    had = f"level Ulm had fallen from {was_ulm(reference)} to 0 % since row 10,000"
    assert found.text.iloc[-1] == f"city is back to normal since row 20,000: {had}"


def test_after_a_return_the_same_change_is_news_again(reference):
    found = alerts(reference, (10_000, {}), (10_000, GONE), (20_000, {}), (10_000, GONE))
    paged = found[found.page]
    assert paged.incident.tolist() == ["backtest-1", "backtest-2"]
    assert paged.change_point.tolist() == [10_000, 40_000]


def test_a_move_to_somewhere_else_is_another_incident(reference):
    turned = {"city": (0.1, 0.2, 0.3, 0.4)}
    found = alerts(reference, (10_000, {}), (10_000, GONE), (10_000, turned))
    assert found.event.tolist() == ["open", "close", "open"]
    assert found.incident.tolist() == ["backtest-1"] * 2 + ["backtest-2"]
    assert found.text.iloc[1] == "city moved again, in another way: see incident backtest-2"


def test_half_way_back_is_the_same_incident_and_no_page(reference):
    half = {"city": (0.43, 0.32, 0.2, 0.05)}
    found = alerts(reference, (10_000, {}), (10_000, {"city": (0.45, 0.35, 0.2, 0.0)}), (15_000, half))
    assert set(found.incident) == {"backtest-1"} and found.page.sum() == 1
    assert found.event.iloc[-1] == "update" and re.search(r" to (4\.9|5\S*) % since", found.text.iloc[-1])
    assert found.text.iloc[-1].startswith("city has come back in part: ")
    assert found.text.iloc[-1].endswith("% since row 10,000 (0 % when last reported)")


def test_a_moved_prediction_is_a_warning(reference):
    scored = Reference.fit(rows(20_000, seed=0), task="regression", score="x")
    found = alerts(scored, (10_000, {}), (5_000, {"x": 0.5}))
    paged = found[found.page].iloc[0]
    assert (paged.kind, paged.severity) == ("prediction", "warning")


def test_a_worse_harm_pages_again_and_the_same_harm_does_not(reference):
    scored = Reference.fit(rows(20_000, seed=0), task="regression", score="x")
    found = alerts(scored, (10_000, {}), (500, GONE), (10_000, {"x": 0.3, **GONE}))
    assert found[found.page].severity.tolist() == ["watch", "warning"]
    assert set(found.incident) == {"backtest-1"}


def test_the_score_is_told_beside_a_moved_feature(reference):
    scored = Reference.fit(rows(20_000, seed=0), task="regression", score="x")
    found = alerts(scored, (10_000, {}), (5_000, GONE))
    # 500 rows cannot tell; once more of them can, it is told. The score is x, which did not move.
    assert found[found.page].text.iloc[0].endswith("; whether score changed is still unclear after 500 rows")
    known = found.iloc[-1]
    assert (known.event, known.page, known.reach) == ("update", False, "chat")
    assert known.text.endswith("; score is unchanged") and known.first_row < 14_000


def test_a_column_that_moves_steadily_is_one_incident_told_at_each_further_tolerance(reference):
    # A shift from 0 to 1.5 sd over 60 windows: D grows from 0 to .55, eleven tolerances.
    steps = [(500, {"x": step / 40}) for step in range(61)]
    found = alerts(reference, (10_000, {}), *steps, (20_000, {"x": 1.5}), watch=Watch())
    assert set(found.incident) == {"backtest-1"} and found.event.tolist().count("open") == 1
    moving = found[found.text.str.contains("is still moving")]
    assert 2 <= len(moving) <= 11 and set(moving.reach) == {"chat"} and not moving.page.any()
    # The first change point stays; each sentence goes on from where the last one stood.
    assert set(found.change_point) == {found.change_point.iloc[0]}
    said = [re.search(r"since (row [\d,]+) \((\S+) % when last reported\)", text).groups() for text in moving.text]
    assert {since for since, _ in said} == {f"row {found.change_point.iloc[0]:,}"}
    # After it has come to rest nothing more is said.
    assert found.first_row.max() <= 10_000 + 61 * 500 + 5_000


def test_a_step_further_the_same_way_is_told_in_the_same_incident(reference):
    more = {"city": (0.15, 0.15, 0.2, 0.5)}
    found = alerts(reference, (10_000, {}), (10_000, {"city": (0.3, 0.2, 0.2, 0.3)}), (10_000, more), watch=Watch())
    assert set(found.incident) == {"backtest-1"}
    last = found.iloc[-1]
    assert re.fullmatch(
        rf"city is still moving: level Ulm rose from {was_ulm(reference)} in the reference data to (49|5\d)\S* % "
        r"since row 10,000 \((29|30|31)\S* % when last reported\)",
        last.text,
    )
    assert 20_000 <= last.first_row <= 22_000


def test_a_change_within_a_window_is_no_second_change_once_the_next_window_shows_its_size(reference):
    more = {"city": (0.2, 0.15, 0.15, 0.5)}
    found = alerts(reference, (10_350, {}), (10_000, more))
    assert found.event.tolist() == ["open", "update"]
    last = found.iloc[-1]
    assert re.fullmatch(
        rf"city moved: level Ulm rose from {was_ulm(reference)} in the reference data to (49|5\d)\S* % "
        r"since row 10,000 \((2\d)\S* % in its first window, as reported\)",
        last.text,
    )
    assert last.change_point == 10_000 and last.first_row == 10_500


def test_a_step_long_after_the_first_window_is_told_as_a_second_change(reference):
    first, more = {"city": (0.2, 0.15, 0.15, 0.5)}, {"city": (0.1, 0.1, 0.1, 0.7)}
    found = alerts(reference, (10_000, {}), (5_000, first), (10_000, more))
    assert re.search(r"city is still moving: .* \(\S+ % when last reported\)", found.iloc[-1].text)


def test_another_column_s_faulty_values_are_said_beside_the_first(reference):
    found = alerts(reference, (10_000, {}), (5_000, {**GONE, "null": 0.06}))
    first = found.iloc[0].text
    assert first.startswith("city moved: level Ulm fell")
    assert re.search(r"; y moved, too; in y, null values rose from 0 % in the reference data to [5-7]\S* %", first)


def test_an_edge_that_is_a_single_value_is_spelled_as_that_value():
    def rain(n, seed, dry):
        rng = np.random.default_rng(seed)
        return pd.DataFrame({"rain": np.where(rng.random(n) < dry, 0.0, rng.exponential(2.0, n))})

    dry = Reference.fit(rain(20_000, 0, 0.7))
    found = drift.backtest(dry, pd.concat([rain(5_000, 1, 0.7), rain(5_000, 2, 0.4)]), false_alarm_every=10_000).alerts
    assert re.match(
        r"rain moved: the share of values of exactly 0 fell from (69|70)\S* % in the reference data to (3|4)\d",
        found.text.iloc[0],
    )
    wet = pd.concat([rain(5_000, 1, 0.7), rain(5_000, 2, 0.7).assign(rain=lambda f: f.rain * 3)])
    found = drift.backtest(dry, wet, false_alarm_every=10_000).alerts
    assert re.match(r"rain moved: the share of values of \d\S* or more rose from ", found.text.iloc[0])
    assert not found.text.str.contains("e-").any()


def test_tolerances_are_the_user_s(reference):
    stretches = (10_000, {}), (60_000, {"x": 0.1})
    assert alerts(reference, *stretches, watch=replace(ALL, tolerances={"ks": 0.01})).page.any()
    assert not alerts(reference, (10_000, {}), (5_000, GONE), watch=replace(ALL, tolerances={"tvd": 0.5})).page.any()


def test_a_watch_is_told_and_pages_only_who_asked_for_it(reference):
    found = alerts(reference, (10_000, {}), (5_000, GONE), watch=Watch())
    assert found.severity.tolist() == ["watch"] and not found.page.any()
    assert found.reach.tolist() == ["chat"]


def test_who_asks_for_critical_alone_is_paged_by_no_warning(reference):
    scored = Reference.fit(rows(20_000, seed=0), task="regression", score="x")
    stretches = (10_000, {}), (5_000, {"x": 0.5})
    assert alerts(scored, *stretches, watch=Watch()).page.any()
    found = alerts(scored, *stretches, watch=Watch(page_from="critical"))
    assert not found.page.any() and "chat" in set(found.reach)


def test_a_broken_column_pages_whoever_asked_for_warnings(reference):
    found = alerts(reference, (10_000, {}), (5_000, {"null": 1.0}), watch=Watch())
    paged = found[found.page]
    assert paged.severity.tolist() == ["critical"] and paged["columns"].iloc[0] == ["y"]


def test_a_severity_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"page_from is loud; severities are watch, warning, critical"):
        Watch(page_from="loud")


def test_one_percent_is_never_spelled_as_a_tenth_or_a_thousand():
    assert [percent(share) for share in (0.01, 0.9996, 1.0, 0.00999)] == ["1 %", "100 %", "100 %", "1 %"]


# --- orders -----------------------------------------------------------------------------------------


def told(ts=5_000_000, page=True, kind="feature"):
    column = MovedColumn(
        name="city",
        role="feature",
        statistic="tvd",
        effect=0.1,
        effect_low=0.08,
        effect_high=0.12,
        tolerance=0.05,
        evidence=1e6,
        n=1000,
        change_point=1_000,
    )
    return Alert(
        id="m-1/2",
        incident="m-1",
        event="update",
        model="m",
        version="v1",
        ts=ts,
        window_start=ts - 60_000,
        window_end=ts,
        kind=kind,
        severity="watch",
        page=page,
        columns=[column],
        change_point=1_000,
        change_point_low=0,
        change_point_high=2_000,
        evidence=1e6,
        budget=43_200,
        reference="r",
        epoch=1,
        text="city moved",
    )


def test_a_page_orders_a_new_version_on_the_rows_since_the_change():
    found = order(told(), None)
    assert (found.since, found.until, found.columns, found.incident) == (1_000, 5_000_000, ["city"], "m-1")


@pytest.mark.parametrize("alert", [told(page=False), told(kind="quality")])
def test_what_pages_nobody_or_is_bad_input_orders_nothing(alert):
    assert order(alert, None) is None


def test_orders_cool_down():
    assert order(told(), 5_000_000 - COOL_DOWN_MS + 1) is None
    assert order(told(), 5_000_000 - COOL_DOWN_MS) is not None
