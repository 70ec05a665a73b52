"""Every query that the page or Grafana asks, on a real engine: columns, types, rows, and what the scene must show."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scene
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from pandas.api import types

from dashboards.grafana import alerts
from dashboards.grafana.classic import VARIABLES, dashboards
from dashboards.macros import MacroError, Range, expand
from dashboards.panels import PANELS, at_level, named
from dashboards.rules import RULES
from drift.performance.label_delay import buckets, of_counts
from drift.store import Store
from drift.store.passwords import READER, read_password

pytestmark = pytest.mark.system  # a store of its own, full of scenes

OVER = Range(scene.START_MS, scene.END_MS)
CHOSEN = {"model": "employment", "column": "RELP", "incident": "employment-1"}

_TIMES = {"time", "first_row", "last_row", "since", "until", "opened", "updated", "closed", "newest", "last"} | {
    "change_point",
    "change_point_low",
    "change_point_high",
    "window_start",
    "window_end",
}
_TEXTS = {"model", "versions", "version", "severity", "incident", "text", "metric", "column", "role", "statistic"} | {
    *("kind", "route", "columns", "cell", "rate", "event", "segment", "reference_id", "levels", "order", "reason"),
    *("reach", "act", "predictions", "opinions", "station", "stage", "example", "id", "prediction", "value", "length"),
    "parts",
}
_FLAGS = {"page", "drifted"}


def ask(store: Store, sql: str, over: Range = OVER) -> pd.DataFrame:
    return store.query(*expand(sql, over, CHOSEN))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_panel(store: Store, panel: Any) -> None:
    frame = ask(store, panel.sql)
    assert tuple(frame.columns) == panel.columns
    assert len(frame) > 0
    for name in frame:
        values = frame[name]
        if name in _TIMES:
            assert types.is_datetime64_any_dtype(values.dtype), name
            assert str(values.dt.tz) == "UTC", name
        elif name in _FLAGS:
            assert types.is_bool_dtype(values.dtype), name
        elif name in _TEXTS or (panel.name == "incident" and name == "reference"):
            assert values.dtype == object, name
        else:
            assert types.is_numeric_dtype(values.dtype), (name, values.dtype)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_empty_is_empty_and_no_error(store: Store, panel: Any) -> None:
    nobody = {"model": "nobody", "column": "nothing", "incident": "nobody-1"}
    frame = store.query(*expand(panel.sql, Range(0, 1000), nobody))
    assert tuple(frame.columns) == panel.columns
    assert len(frame) == 0


def _targets(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "rawSql" in tree:
            yield tree
        for value in tree.values():
            yield from _targets(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _targets(value)


GRAFANA = [
    pytest.param(target["rawSql"], target, id=f"{uid}-{number}")
    for uid, board in dashboards().items()
    for number, target in enumerate(_targets(board))
]


@pytest.mark.parametrize(("sql", "target"), GRAFANA)
def test_what_grafana_asks(store: Store, sql: str, target: dict[str, Any]) -> None:
    frame = ask(store, sql)
    assert len(frame) > 0
    if target["queryType"] == "timeseries":
        assert frame.columns[0] == "time"
        assert frame["time"].is_monotonic_increasing or frame.columns[1] in ("metric",)
        assert any(types.is_numeric_dtype(frame[name].dtype) for name in frame)


@pytest.mark.parametrize(("level", "name"), [(level, name) for level, given in VARIABLES.items() for name in given])
def test_variables_offer_values(store: Store, level: Any, name: str) -> None:
    offered = ask(store, VARIABLES[level][name]).iloc[:, 0].tolist()
    assert CHOSEN[name] in offered


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule(store: Store, rule: Any) -> None:
    frame = ask(store, rule.sql)
    assert tuple(frame.columns) == (*rule.labels, "value")
    assert frame["value"].dtype == np.float64
    assert len(frame) > 0
    assert not any("${" in each["data"][0]["model"]["rawSql"] for each in alerts.for_api())


def test_the_paged_rule_names_the_open_incident_alone(store: Store) -> None:
    frame = ask(store, next(rule for rule in RULES if rule.name == "paged").sql)
    assert frame.to_dict("records") == [
        {"model": "employment", "incident": "employment-1", "severity_of_incident": "watch", "value": 1.0}
    ]


def test_the_silent_rule_counts_seconds(store: Store) -> None:
    sql = next(rule for rule in RULES if rule.name == "silent").sql
    later = Range(scene.START_MS, scene.END_MS + 1_234_000)
    assert set(ask(store, sql, later)["value"]) == {1234.0}


def test_worst_model_stands_first(store: Store) -> None:
    fleet = ask(store, named("fleet").sql)
    assert fleet["model"].tolist()[0] == "employment"
    first = fleet.iloc[0]
    assert (first["moved"], first["watched"], first["open_incidents"]) == (1, len(scene.NAMES) + 1, 1)
    assert int(first["since"].timestamp() * 1000) == scene.CHANGE_MS
    assert not fleet["open_incidents"].iloc[1:].any()


def test_a_model_with_an_open_incident_is_shown_whatever_the_range(store: Store) -> None:
    """A backfill of years ago beside a model that is live: the newest day is the live one's."""
    day = 86_400_000
    fleet = ask(store, named("fleet").sql, Range(scene.END_MS + 2 * day, scene.END_MS + 3 * day))
    assert fleet["model"].tolist() == ["employment"]
    row = fleet.iloc[0]
    assert (row["open_incidents"], row["incident"], row["rows"]) == (1, "employment-1", 0)
    assert row[["first_row", "last_row"]].isna().all()  # and not 1970


def test_map_shows_the_move_and_nothing_else(store: Store) -> None:
    frame = ask(store, named("drift_map").sql)
    drifted = frame[frame["drifted"]]
    assert set(drifted["column"]) == {"RELP"}
    assert (drifted["ratio"] > 1).all()
    assert len(frame) == scene.WINDOWS * (len(scene.NAMES) + 1)
    np.testing.assert_allclose(frame["ratio"], frame["effect"] / frame["tolerance"])


def test_cells_are_counted_since_the_change_point(store: Store) -> None:
    cells = ask(store, named("column_cells").sql).set_index("cell")
    assert cells["reference"].sum() == pytest.approx(1)
    assert cells["current"].sum() == pytest.approx(1)
    assert cells.loc[["16", "17"], "current"].tolist() == [0, 0]
    # The oracle: the rows themselves, in their wide table.
    sql = "SELECT countIf(RELP = '0') / count() AS share FROM observations_employment WHERE ts >= {since:DateTime64(3)}"
    share = store.query(sql, {"since": scene.CHANGE_MS / 1000})["share"].iloc[0]
    assert cells.loc["0", "current"] == pytest.approx(share)


def test_scores_are_quantiles_of_the_rows(store: Store) -> None:
    frame = ask(store, named("score").sql)
    start = frame["time"].iloc[0]
    sql = """SELECT score FROM predictions
        WHERE model = 'employment' AND ts >= {a:DateTime64(3)} AND ts < {b:DateTime64(3)}"""
    rows = store.query(sql, {"a": scene.START_MS / 1000, "b": scene.START_MS / 1000 + 60})
    assert int(start.timestamp() * 1000) == scene.START_MS
    assert frame["p50"].iloc[0] == pytest.approx(np.quantile(rows["score"].astype(float), 0.5), abs=1e-6)


def test_drawing_intervals_merge_windows(store: Store) -> None:
    wide = Range(scene.START_MS, scene.START_MS + 240 * 240_000)
    assert wide.interval_s == 240
    frame = ask(store, named("traffic").sql, wide)
    assert frame["rows"].sum() == ask(store, named("traffic").sql)["rows"].sum()
    assert len(frame) == scene.WINDOWS // 4


def test_labels_cover_three_in_five(store: Store) -> None:
    frame = ask(store, named("rates").sql).pivot_table(index="time", columns="station", values="rows")
    old = frame[frame.index < frame.index[0] + pd.Timedelta(25, "min")]  # After twenty minutes none comes.
    assert old["labelled"].sum() / old["predicted"].sum() == pytest.approx(0.6, abs=0.01)
    assert (frame["predicted"] == frame["counted"]).all()


def test_the_lag_curve_is_the_estimate_of_the_library(store: Store) -> None:
    frame = ask(store, named("lag_curve").sql)
    sql = """SELECT toStartOfMinute(ts) AS minute, dateDiff('millisecond', ts, min(label_ts)) AS waited
        FROM outcomes WHERE model = 'employment' GROUP BY id, ts"""
    labelled = store.query(sql, {})
    newest = store.query("SELECT max(label_ts) AS ts FROM outcomes WHERE model = 'employment'", {})["ts"].iloc[0]
    minutes = store.query("SELECT toStartOfMinute(ts) AS minute, ts FROM predictions WHERE model = 'employment'", {})
    ages, of_labelled = (
        (newest - times) / pd.Timedelta(1, "ms") - 60_000 for times in (minutes["minute"], labelled["minute"])
    )
    counts = np.zeros((64, 64), np.int64)
    np.add.at(counts, (buckets(of_labelled), buckets(labelled["waited"])), 1)
    curve = of_counts(counts, np.bincount(buckets(ages), minlength=64))
    np.testing.assert_allclose(frame["age"] * 1000, curve.ages_ms)
    np.testing.assert_allclose(frame["labels"], curve.labels)
    np.testing.assert_allclose(frame["expected"], curve.coverage)
    # Half of the labels come within three minutes; three in five are ever labelled.
    assert np.interp(180, frame["age"], frame["labels"]) == pytest.approx(0.5, abs=0.03)
    assert frame["expected"].iloc[-1] == pytest.approx(0.6, abs=0.01)
    known = frame.dropna(subset=["covered"])
    np.testing.assert_allclose(known["covered"], known["expected"], atol=0.01)
    assert known["rows"].sum() < len(minutes) < known["rows"].sum() + 3 * scene.ROWS  # Those of the last minute wait.


def test_labels_that_stop_fall_below_the_curve(store: Store) -> None:
    frame = ask(store, named("lag_curve").sql, Range(scene.START_MS, scene.END_MS + 120 * 60_000))
    told = frame.dropna(subset=["covered"])
    (late,) = told.to_dict("records")
    assert late["covered"] < late["expected"] - 0.04 and late["expected"] == pytest.approx(0.6, abs=0.01)


def test_a_value_never_meets_the_sql(store: Store) -> None:
    hostile = "x' OR 1=1 --"
    sql, parameters = expand(named("traffic").sql, OVER, {**CHOSEN, "model": hostile})
    assert hostile not in sql
    assert parameters == {"model": hostile}
    assert len(store.query(sql, parameters)) == 0


def test_levels_of_an_incident_are_json(store: Store) -> None:
    levels = json.loads(ask(store, named("incident_columns").sql)["levels"].iloc[0])
    assert [level["level"] for level in levels] == ["16", "17"]


def test_unknown_macro_and_variable_are_refused() -> None:
    with pytest.raises(MacroError, match="no macro"):
        expand("SELECT $__quarter(ts)", OVER, {})
    with pytest.raises(MacroError, match="needs"):
        expand("SELECT ${tenant:singlequote}", OVER, CHOSEN)


@pytest.mark.parametrize("level", ["fleet", "model", "column", "incident", "pipeline"])
def test_at_most_nine_panels_a_page(level: Any) -> None:
    assert 1 <= len(at_level(level)) <= 9


def test_every_query_is_allowed_to_a_reader(store: Store) -> None:
    """Grafana's user and the page run with ``readonly = 1``, where even some table functions are refused."""
    settings = store.settings
    reader = Client(
        settings.host,
        port=settings.port,
        user=READER,
        password=read_password(Path(settings.password_file).parent / f"{READER}.password"),
        database=settings.database,
        settings={"server_side_params": True},
    )
    with pytest.raises(ServerException, match=r"readonly|no statement for the reader"):
        reader.execute("CREATE TABLE t (x Int8) ENGINE = Memory")
    for panel in PANELS:
        reader.execute(*expand(panel.sql, OVER, CHOSEN))
    for rule in RULES:
        reader.execute(*expand(rule.sql, OVER, CHOSEN))
    reader.disconnect()
