"""Page data as a page: its opening, its figures and panels, in the reader's zone."""

from collections.abc import Sequence
from datetime import UTC, tzinfo

import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboards.page import cards, column, fleet, incident, model, parts, pipeline
from dashboards.page.address import Address
from dashboards.page.chart_context import ChartContext, Mark
from dashboards.page.page_data import PageData
from dashboards.page.sentence import Verdict, say


def render(data: PageData, zone: tzinfo) -> tuple[Component, Verdict]:
    """The whole page, and its sentence."""
    verdict = say(data, zone)
    opening = cards.opening(_crumbs(data.address), verdict, say(data, UTC))
    if data.address.page == "nowhere":
        return html.Div([opening]), verdict
    body = _body(data, _chart_context(data, zone))
    bar = None if data.address.page == "incident" else cards.stretches(data.address, data.over.step_ms_min)
    notices = parts.notices(data.away)
    return html.Div([opening, *notices, bar, html.Div(body, className=f"panels panels--{data.address.page}")]), verdict


def title(data: PageData, verdict: Verdict) -> str:
    """What stands in the browser's tab."""
    address = data.address
    name = address.column or address.incident or address.model or address.page
    flag = "" if verdict.severity in ("quiet", "empty") else "● "
    return f"{flag}{name} · Driftline"


def _body(data: PageData, context: ChartContext) -> list[Component | None]:
    match data.address.page:
        case "model":
            return model.draw(data, context)
        case "column":
            return column.draw(data, context)
        case "incident":
            return incident.draw(data, context.zone)
        case "pipeline":
            return pipeline.draw(data, context)
    return fleet.draw(data, context.zone)


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


def _chart_context(data: PageData, zone: tzinfo) -> ChartContext:
    address = data.address
    marks = [
        Mark(
            row["incident"], tuple(row["columns"]), _instant(row["change_point"]), _end(row["closed"]), row["severity"]
        )
        for row in data.rows("incidents")
        if not address.column or address.column in row["columns"]
    ]

    def link(name: str) -> str:
        return address.go(page="column", column=name).chart_href

    step = pd.Timedelta(data.over.interval_s, "s")
    start, end, now = map(_instant, (data.over.start_ms, data.over.end_ms, data.now_ms))
    years = len({time.tz_convert(zone).year for time in (start, end, now)}) > 1
    return ChartContext(zone, start, end, step, tuple(marks), link, years)


def _instant(ms: int) -> pd.Timestamp:
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def _end(ms: int | None) -> pd.Timestamp | None:
    return None if ms is None else _instant(ms)
