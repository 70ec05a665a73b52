"""A sheet as a page: its opening, its figures and panels, in the reader's zone."""

from collections.abc import Sequence
from datetime import UTC, tzinfo

import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboards.page import cards, column, fleet, incident, model, parts, pipeline
from dashboards.page.address import Address
from dashboards.page.canvas import Canvas, Mark
from dashboards.page.sentence import Verdict, say
from dashboards.page.sheet import Sheet


def render(sheet: Sheet, zone: tzinfo) -> tuple[Component, Verdict]:
    """The whole page, and its sentence."""
    verdict = say(sheet, zone)
    opening = cards.opening(_crumbs(sheet.address), verdict, say(sheet, UTC))
    if sheet.address.page == "nowhere":
        return html.Div([opening]), verdict
    body = _body(sheet, zone, _canvas(sheet, zone))
    bar = None if sheet.address.page == "incident" else cards.stretches(sheet.address, sheet.over.step_ms_min)
    notices = parts.notices(sheet.away)
    return html.Div([opening, *notices, bar, html.Div(body, className=f"panels panels--{sheet.address.page}")]), verdict


def title(sheet: Sheet, verdict: Verdict) -> str:
    """What stands in the browser's tab."""
    address = sheet.address
    name = address.column or address.incident or address.model or address.page
    flag = "" if verdict.severity in ("quiet", "empty") else "● "
    return f"{flag}{name} · Driftline"


def _body(sheet: Sheet, zone: tzinfo, canvas: Canvas) -> list[Component | None]:
    match sheet.address.page:
        case "model":
            return model.draw(sheet, zone, canvas)
        case "column":
            return column.draw(sheet, zone, canvas)
        case "incident":
            return incident.draw(sheet, zone, canvas)
        case "pipeline":
            return pipeline.draw(sheet, zone, canvas)
    return fleet.draw(sheet, zone)


def _crumbs(address: Address) -> Sequence[tuple[str, str]]:
    home = ("Fleet", address.go(page="fleet", model="", column="", incident="").href)
    to_model = (address.model, address.go(page="model", column="", incident="").href)
    match address.page:
        case "fleet":
            return [("Fleet", "")]
        case "model":
            return [home, (address.model, "")]
        case "column":
            return [home, to_model, (address.column, "")]
        case "incident":
            return [home, *([to_model] if address.model else []), (address.incident, "")]
        case "pipeline":
            return [("Pipeline", "")]
    return [home]


def _canvas(sheet: Sheet, zone: tzinfo) -> Canvas:
    address = sheet.address
    marks = [
        Mark(
            row["incident"], tuple(row["columns"]), _instant(row["change_point"]), _end(row["closed"]), row["severity"]
        )
        for row in sheet.rows("incidents")
        if not address.column or address.column in row["columns"]
    ]

    def link(name: str) -> str:
        return address.go(page="column", column=name).chart_href

    step = pd.Timedelta(sheet.over.interval_s, "s")
    start, end, now = map(_instant, (sheet.over.start_ms, sheet.over.end_ms, sheet.now_ms))
    years = len({time.tz_convert(zone).year for time in (start, end, now)}) > 1
    return Canvas(zone, start, end, step, tuple(marks), link, years)


def _instant(ms: int) -> pd.Timestamp:
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def _end(ms: int | None) -> pd.Timestamp | None:
    return None if ms is None else _instant(ms)
