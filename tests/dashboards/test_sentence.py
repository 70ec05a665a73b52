"""The sentence of every page, in the situations that people meet at night."""

import json
from datetime import UTC
from typing import Any

import msgspec
import pandas as pd
import pytest

from dashboards.macros import Range
from dashboards.page.address import Address
from dashboards.page.page_data import PageData
from dashboards.page.query_cache import Answer
from dashboards.page.sentence import say
from dashboards.panels import named
from dashboards.words import zone
from drift.incidents import rfc3339
from drift.incidents.text import person, plain, since, spelled, text, time

END = 1_795_231_680_000  # 2026-11-21 03:28 UTC
MINUTE = 60_000


def data(page: str, live: dict[str, Any] | None = None, **rows: list[dict[str, Any]]) -> PageData:
    """Page data of these rows; what a row leaves out is missing."""
    answers = {}
    for name, given in rows.items():
        columns = named(name).columns
        frame = pd.DataFrame([{column: row.get(column) for column in columns} for row in given], columns=list(columns))
        answers[name] = Answer(frame, END)
    address = Address(page=page, model="m", column="RELP", incident="m-1")
    return PageData(address, Range(END - 3_600_000, END), answers, live or {}, END)


def model_row(**changes: Any) -> dict[str, Any]:
    return {"model": "m", "moved": 0, "watched": 3, "open_incidents": 0, "severity": "", "page": False} | changes


def map_row(column: str, ratio: float, drifted: bool = False, role: str = "feature") -> dict[str, Any]:
    return {"time": END, "column": column, "role": role, "ratio": ratio, "drifted": drifted}


def metric(**changes: Any) -> dict[str, Any]:
    return {"time": END, "metric": "auc", "reference": 0.84, "coverage": 0.0} | changes


INCIDENT = {
    "incident": "m-1",
    "severity": "warning",
    "page": True,
    "change_point": END - 16 * MINUTE,
    "opened": END - 13 * MINUTE,
    "columns": ["RELP"],
    "text": "RELP moved.",
    "parts": '[{"text": "RELP moved."}]',
}
MOVED = {"column": "RELP", "statistic": "tvd"}
BEGAN = END - 16 * MINUTE  # 03:12
LEVELS = '[{"level": "16", "reference": 0.038, "current": 0.0}, {"level": "17", "reference": 0.035, "current": 0.0}]'


def told(*items: Any) -> dict[str, str]:
    """A text as alerts carry it."""
    parts = spelled(text(*items), rfc3339)
    return {"text": plain(parts), "parts": msgspec.json.encode(parts).decode()}


def test_fleet_without_models() -> None:
    verdict = say(data("fleet", fleet=[]))
    assert (verdict.severity, verdict.text) == ("empty", "No model has answered a request yet.")


def test_fleet_at_rest() -> None:
    one, two = model_row(), model_row(model="n")
    assert say(data("fleet", fleet=[one])).text == "The model is quiet: no incident is open."
    verdict = say(data("fleet", fleet=[one, two]))
    assert (verdict.severity, verdict.text[:23]) == ("quiet", "All 2 models are quiet:")


def test_models_of_which_no_window_was_judged_are_not_called_quiet() -> None:
    young, judged = model_row(watched=0), model_row(model="n")
    verdict = say(data("fleet", fleet=[young]))
    assert (verdict.severity, verdict.text) == ("empty", "No window of m has been judged yet.")
    verdict = say(data("fleet", fleet=[judged, young]))
    assert (verdict.severity, verdict.text) == (
        "quiet",
        "The model n is quiet: no incident is open. No window of m has been judged yet.",
    )


REFUSED = {"stage": "score", "reason": "unknown_model", "rows": 4_998, "last": END, "example": "requests/0/1 no route"}


def test_a_fleet_whose_requests_are_all_refused_says_so() -> None:
    letters = [REFUSED, {**REFUSED, "reason": "wrong_type", "rows": 2}]
    verdict = say(data("fleet", fleet=[], dead_letters=letters))
    assert verdict.severity == "critical"
    assert verdict.text == (
        "No request has been answered. 5,000 requests were refused: unknown model (4,998) and wrong type (2)."
    )
    assert say(data("fleet", fleet=[], dead_letters=[{**REFUSED, "rows": 1}])).text.endswith(
        "1 request was refused: unknown model (1)."
    )


def test_a_quiet_fleet_says_what_it_refuses() -> None:
    verdict = say(data("fleet", fleet=[model_row()], dead_letters=[REFUSED]))
    assert verdict.severity == "watch"
    assert verdict.text == (
        "The model is quiet: no incident is open. 4,998 requests were refused: unknown model (4,998)."
    )


def test_a_fleet_without_an_answer_says_what_the_worker_waits_for() -> None:
    step = {"step": "score", "rows": 0, "waits": "no route yet: driftline model route NAME VERSION"}
    waiting = {"roles": {"worker-0": {"state": "up", "steps": [step]}}}
    verdict = say(data("fleet", waiting, fleet=[], dead_letters=[{**REFUSED, "stage": "join"}]))
    assert verdict.severity == "empty"
    assert verdict.text == ("No model has answered a request yet: no route yet: driftline model route NAME VERSION.")
    assert say(data("fleet", fleet=[], dead_letters=[])).text == "No model has answered a request yet."


def test_fleet_with_trouble_counts_the_others() -> None:
    moved = model_row(open_incidents=1, severity="critical", since=END - 5 * MINUTE, **told("The schema broke."))
    verdict = say(data("fleet", fleet=[moved, model_row(open_incidents=1, severity="watch"), model_row()]))
    assert verdict.severity == "critical"
    assert (
        verdict.text == "m: since 03:23, the schema broke. 1 more model has an open incident. 1 other model is quiet."
    )


def test_model_at_rest_names_the_largest_effect() -> None:
    rows = [map_row("ANC", 0.6), map_row("AGEP", 0.2)]
    verdict = say(data("model", drift_map=rows, incidents=[], performance=[metric(estimated=0.836)]))
    assert verdict.severity == "quiet"
    assert verdict.text == (
        "Nothing has moved. 2 columns watched; the largest effect is ANC at 60 % of its tolerance. "
        "AUC estimated 0.836, 0.84 in the reference data; no labels yet."
    )


def test_an_effect_beyond_its_tolerance_without_an_incident_is_no_calm() -> None:
    """A day that is not whole is no evidence, however far a column is from the reference in it."""
    verdict = say(data("model", drift_map=[map_row("alcohol", 2.78)], incidents=[], performance=[]))
    assert verdict.severity == "quiet"
    assert verdict.text == (
        "Nothing has moved for certain. 1 column watched; the largest effect is alcohol, at 2.78 times its tolerance, "
        "which its window alone does not prove."
    )


def test_model_that_moved() -> None:
    moved = data(
        "model",
        drift_map=[map_row("RELP", 1.5, True), map_row("score", 0.4, role="prediction")],
        incidents=[INCIDENT],
        incident_columns=[MOVED | {"levels": LEVELS}],
        performance=[metric(realised=0.82, low=0.8, high=0.84, coverage=0.12)],
    )
    verdict = say(moved)
    assert verdict.severity == "warning"
    assert verdict.text == (
        "Since 03:12 RELP has moved: levels 16 and 17 fell from 7.3 % to 0 %. Whether predictions changed is still "
        "unclear. Whether AUC changed is unclear: 0.82 [0.8, 0.84], 0.84 in the reference data; labels cover 12 % of "
        "the rows."
    )
    assert say(moved, zone("Asia/Tokyo")).text.startswith("Since 12:12 RELP")
    assert say(moved, zone("America/New_York")).text.startswith("Since 22:12 RELP")


def test_what_became_of_predictions_is_said_as_the_alert_says_it() -> None:
    score = {
        "name": "score",
        "statistic": "ks",
        "effect": 0.01,
        "low": 0.0,
        "high": 0.02,
        "n": 9000,
        "word": "unchanged",
    }
    hat = score | {"name": "prediction", "statistic": "tvd", "effect": 0.14, "low": 0.12, "word": "changed"}
    for predictions, says in (
        ([score], "Predictions unchanged (score: KS distance at most 0.02)."),
        ([score, hat], "Predictions changed, too (predicted class: total variation distance 0.14)."),
    ):
        incident = INCIDENT | {"predictions": json.dumps(predictions)}
        rows = {"incidents": [incident], "incident_columns": [MOVED | {"levels": LEVELS}]}
        verdict = say(data("model", drift_map=[map_row("RELP", 1.5, True)], performance=[], **rows))
        assert verdict.text == f"Since 03:12 RELP has moved: levels 16 and 17 fell from 7.3 % to 0 %. {says}"


def test_an_estimate_of_rows_outside_the_training_data_is_no_fact() -> None:
    estimate = metric(estimated=None, estimated_outside=0.939, outside=0.966)
    verdict = say(data("model", drift_map=[map_row("ANC", 0.6)], incidents=[], performance=[estimate]))
    assert verdict.text.endswith(
        "AUC estimated 0.939, but in one column, beyond the usual, 96.6 % of the rows lie outside the reference data: "
        "not to be trusted; no labels yet."
    )


def test_the_score_is_told_once_and_other_incidents_are_counted() -> None:
    columns = [{"column": name, "role": role, "levels": "[]"} for name, role in (("a", "feature"), ("s", "prediction"))]
    incidents = [INCIDENT, {**INCIDENT, "incident": "m-2", "severity": "watch"}]
    rows = [map_row("s", 2, True, "prediction")]
    verdict = say(data("model", drift_map=rows, incidents=incidents, incident_columns=columns, performance=[]))
    assert verdict.text == "Since 03:12 a and s have moved. 1 more incident is open."


def test_a_refused_route_is_a_warning() -> None:
    live = {"roles": {"worker-1": {"steps": [], "serving": {"m": {"refused": "no such file"}, "n": {"version": "v1"}}}}}
    verdict = say(data("model", live, drift_map=[map_row("a", 0.2)], incidents=[], performance=[]))
    assert verdict.severity == "warning"
    assert verdict.text.startswith("worker-1 refused the newest route of m and serves none. Nothing has moved.")
    assert say(data("pipeline", live, rates=[], dead_letters=[])).severity == "warning"


def test_a_further_fall_says_its_own_time_and_not_that_of_the_first() -> None:
    further = "accuracy fell further from 79 % to 63 %"
    worst = ", the worst so far; 83 % on the training data, worse"
    said = told(further, since(BEGAN + 8 * MINUTE), worst, since(BEGAN), "; labels cover 100 %")
    fall = INCIDENT | {"kind": "performance"} | said
    verdict = say(data("model", drift_map=[map_row("a", 0.2)], incidents=[fall], performance=[]))
    assert verdict.text == (
        "accuracy fell further from 79 % to 63 % since 03:20, the worst so far; 83 % on the training data, worse since "
        "03:12; labels cover 100 %."
    )


def test_a_change_on_another_day_carries_its_date() -> None:
    old = {**INCIDENT, "change_point": END - 86_400_000}
    verdict = say(data("model", drift_map=[map_row("RELP", 2, True)], incidents=[old], performance=[]), UTC)
    assert verdict.text.startswith("Since Nov 20, 03:28 RELP moved.")


def test_model_that_nobody_knows() -> None:
    assert say(data("model", drift_map=[], incidents=[], performance=[])).severity == "empty"


def test_column_quiet_and_moved() -> None:
    effect = {"time": END, "effect": 0.0748, "low": 0.065, "high": 0.085, "tolerance": 0.05, "statistic": "tvd"}
    quiet = say(data("column", column_effect=[effect], incidents=[]))
    assert quiet.text == (
        "No incident names RELP; in the newest window it is changed: total variation distance 0.0748 "
        "[0.065, 0.085], tolerated 0.05."
    )
    levels = '[{"level": "16", "reference": 0.04, "current": 0.0}]'
    named_by = [{"column": "RELP", "levels": levels, "statistic": "tvd"}]
    moved = say(data("column", column_effect=[effect], incidents=[INCIDENT], incident_columns=named_by))
    assert moved.text == (
        "RELP has moved since 03:12: level 16 fell from 4 % to 0 %. In the newest window: total variation "
        "distance 0.0748 [0.065, 0.085], tolerated 0.05."
    )


def incident_event(event: str, minutes: int, page: bool) -> dict[str, Any]:
    change = dict.fromkeys(("change_point", "change_point_low", "change_point_high"), END - 16 * MINUTE)
    what = {"severity": "watch", "page": page, "act": ""} | told(f"x {event}", since(BEGAN))
    return {"time": END - minutes * MINUTE, "event": event, **what, **change}


def test_incident_from_change_to_close() -> None:
    events = [incident_event("open", 13, False), incident_event("update", 11, True), incident_event("close", 1, False)]
    order = {"time": END - 11 * MINUTE, "columns": ["RELP"]}
    columns = [MOVED | {"levels": LEVELS}]
    open_still = say(data("incident", incident=events[:2], incident_columns=columns, incident_orders=[order]))
    assert open_still.text == (
        "Since 03:12 RELP has moved: levels 16 and 17 fell from 7.3 % to 0 %. "
        "Paged at 03:17. Retraining ordered at 03:17. Still open."
    )
    closed = say(data("incident", incident=events, incident_columns=columns, incident_orders=[]))
    assert (closed.severity, closed.text[-16:]) == ("quiet", "Closed at 03:27.")
    unpaged = say(data("incident", incident=events[:1], incident_columns=columns, incident_orders=[]))
    assert "No one was paged." in unpaged.text


def test_an_incident_tells_what_people_decided_and_not_in_the_place_of_what_happened() -> None:
    opened = incident_event("open", 13, True) | told("38 % of the requests are refused", since(BEGAN))
    until, at = END + 332 * MINUTE, time(END - 80_000)
    mute = told("muted until ", time(until), " by ", person("bob"), " at ", at, " (a test: of ours): it is counted")
    act = incident_event("update", 11, False) | {"act": "mute"} | mute
    muted = say(data("incident", incident=[opened, act]))
    assert muted.text == (
        "Since 03:12 38 % of the requests are refused. Paged at 03:15. Muted until 09:00 by bob. Still open."
    )
    rows = ": from here on a is compared with 7,500 rows"
    accepted = told("made the new normal by ", person("cy"), " at ", time(END - MINUTE), rows)
    normal = incident_event("close", 9, False) | {"act": "rebaseline"} | accepted
    closed = say(data("incident", incident=[opened, act, normal]))
    assert closed.text.endswith("Made the new normal by cy. Closed at 03:19.")


def test_a_loss_is_told_in_the_words_of_its_alert() -> None:
    fell = told("accuracy fell from 78 % to 59 %", since(BEGAN), "; labels cover 100 %")
    columns = [{"column": "log_loss", "role": "performance", "levels": "[]"}]
    event = incident_event("open", 13, True) | {"kind": "performance"} | fell
    page = say(data("incident", incident=[event], incident_columns=columns))
    assert page.text.startswith("Since 03:12 accuracy fell from 78 % to 59 %; labels cover 100 %. Paged")
    fall = INCIDENT | {"kind": "performance"} | fell
    model = say(data("model", drift_map=[map_row("a", 0.2)], incidents=[fall], incident_columns=columns))
    assert model.text == "Since 03:12 accuracy fell from 78 % to 59 %; labels cover 100 %."


def test_an_interval_is_said_where_it_says_something() -> None:
    wide = incident_event("open", 13, False) | {"change_point_low": END - 20 * MINUTE}
    said = say(data("incident", incident=[wide], incident_columns=[], incident_orders=[])).text
    assert said.startswith("Since 03:12 (between 03:08 and 03:12) x open. No one was paged.")
    exact = say(data("incident", incident=[incident_event("open", 13, False)], incident_columns=[])).text
    assert exact.startswith("Since 03:12 x open. No one was paged.")


def test_a_closed_incident_is_told_by_what_had_happened_and_not_by_its_end_or_an_act() -> None:
    noted = incident_event("update", 2, False) | {"act": "acknowledge"}
    events = [incident_event("open", 13, False), noted, incident_event("close", 1, False)]
    said = say(data("incident", incident=events, incident_columns=[])).text
    assert said == "Since 03:12 x open. No one was paged. Closed at 03:27."


def test_a_fallen_performance_is_said_in_figures_and_no_loss_is_said_to_have_moved() -> None:
    fell = told("accuracy fell from 73 % to 44.2 % and the log loss rose from 0.62 to 1.74", since(BEGAN))
    loss = [{"column": "log_loss", "role": "performance", "levels": "[]"}]
    fall = INCIDENT | {"kind": "performance"} | fell
    model = say(data("model", drift_map=[map_row("a", 0.2)], incidents=[fall], incident_columns=loss, performance=[]))
    figures = "accuracy fell from 73 % to 44.2 % and the log loss rose from 0.62 to 1.74."
    assert model.text == f"Since 03:12 {figures}"
    opened = incident_event("open", 13, True) | fell
    assert say(data("incident", incident=[opened], incident_columns=loss)).text.startswith(f"Since 03:12 {figures}")


def roles(**steps: dict[str, Any]) -> dict[str, Any]:
    listed = [{"step": name, "rows_per_s": 100.0, "lag_ms": 40, "trouble": None} | step for name, step in steps.items()]
    return {"roles": {"worker-0": {"state": "up", "steps": listed}}}


@pytest.mark.parametrize(
    ("live", "severity", "text"),
    [
        (roles(score={}), "quiet", "Everything keeps up: 100 rows/s answered, 40 ms behind."),
        (roles(score={"p99_ms": 31}), "quiet", "Everything keeps up: 100 rows/s answered, 99 of 100 within 31 ms."),
        (
            roles(score={"rows_per_s": 0.0, "lag_rows": 0, "lag_ms": 120_000}),  # That lag is long ago.
            "quiet",
            "Everything keeps up: no request came in the last 10 s, and none waits.",
        ),
        (roles(score={"lag_ms": 120_000}), "warning", "Falling behind: score (2 min)."),
        (roles(score={"trouble": "no broker"}), "warning", "score makes no progress: no broker."),
        (
            roles(score={"waits": "no route yet", "lag_rows": 169}),
            "warning",
            "169 records wait for score: no route yet.",
        ),
        (
            roles(score={"waits": "no route yet", "lag_rows": 0, "rows_per_s": 0.0}),
            "quiet",
            "Everything keeps up: no request came in the last 10 s, and none waits.",
        ),
        ({"roles": {"store": {"state": "restarting"}}}, "critical", "store is not running."),
        ({}, "empty", "No part of the system reports its state."),
    ],
)
def test_pipeline(live: dict[str, Any], severity: str, text: str) -> None:
    verdict = say(data("pipeline", live, rates=[], dead_letters=[]))
    assert (verdict.severity, verdict.text) == (severity, text)


def test_pipeline_that_refused_something() -> None:
    verdict = say(data("pipeline", roles(score={}), rates=[], dead_letters=[{"stage": "score", "rows": 4}]))
    assert verdict.severity == "watch"
    assert verdict.text.endswith("4 requests were refused.")
    letters = [{"stage": "score", "rows": 4}, {"stage": "judge", "rows": 1}]
    other = say(data("pipeline", roles(score={}), rates=[], dead_letters=letters))
    assert other.text.endswith("5 records were refused.")


def test_every_page_has_a_sentence() -> None:
    assert say(data("nowhere")).text == "There is no such page."


def test_a_loss_is_held_against_the_tolerance_that_its_reports_were_made_with() -> None:
    """AUC .80 to .82 against .84: the loss of .16 has grown by an eighth to a quarter."""
    row = metric(realised=0.81, low=0.80, high=0.82, coverage=1.0)
    words = {}
    for tolerance in (0.05, 0.2, 0.5, None):
        told = say(data("model", drift_map=[map_row("a", 0.2)], performance=[row | {"tolerance": tolerance}])).text
        words[tolerance] = next(word for word in ("is unclear", " changed: ", "unchanged: ") if word in told)
    assert words == {0.05: " changed: ", 0.2: "is unclear", 0.5: "unchanged: ", None: " changed: "}


def test_times_of_another_year_carry_it() -> None:
    """Rows of 2026 that are read in 2028: neither the day nor the year is today's."""
    moved = model_row(open_incidents=1, severity="watch", since=END - 16 * MINUTE, **told("RELP moved."))
    seen = data("fleet", fleet=[moved])
    later = msgspec.structs.replace(seen, now_ms=END + 500 * 86_400_000)
    assert "since 03:12," in say(seen).text
    assert "since Nov 21, 2026, 03:12," in say(later).text


def test_an_alert_without_parts_is_shown_as_it_is() -> None:
    """Alerts of older versions have a text alone, and no page reads English."""
    old = incident_event("open", 13, False) | {"text": "x open since 2026-11-21T03:12:00Z", "parts": None}
    page = say(data("incident", incident=[old], incident_columns=[], incident_orders=[]))
    assert page.text == "x open since 2026-11-21T03:12:00Z. No one was paged. Still open."
