"""One column: how did it move?"""

from datetime import tzinfo

from dash import html
from dash.development.base_component import Component

from dashboards import words
from dashboards.page import cards, parts
from dashboards.page.chart_context import ChartContext
from dashboards.page.page_data import PageData
from dashboards.panels import named

_NO_REFERENCE = "The reference of this model is not in the store yet; it comes with the model's first route."
_NO_WINDOW = "No window has closed; the first one does a minute after it ends."


def draw(data: PageData, context: ChartContext) -> list[Component | None]:
    """The page beneath its sentence."""
    answers = data.answers
    over_time = [
        cards.chart("column_effect", answers["column_effect"], context, empty=_NO_WINDOW),
        cards.chart("column_rollups", answers["column_rollups"], context, empty=_NO_REFERENCE),
        cards.chart("column_distances", answers["column_distances"], context, empty=_NO_WINDOW),
        cards.chart("column_quality", answers["column_quality"], context, empty=_NO_WINDOW),
        _examples(data, context.zone),
    ]
    by_cell = [cards.chart("column_cells", answers["column_cells"], context, empty=_NO_REFERENCE), _cells(data)]
    return [_figures(data), html.Div(by_cell, className="stack"), html.Div(over_time, className="stack")]


def _figures(data: PageData) -> Component | None:
    effects = data.rows("column_effect")
    if not effects:
        return None
    last = effects[-1]
    interval = words.interval(last["low"], last["high"])
    rates = {row["rate"]: row["share"] for row in data.rows("column_quality")}
    return parts.figures(
        [
            (f"effect ({last['statistic'].upper()})", words.figure(last["effect"]), interval),
            ("tolerated", words.figure(last["tolerance"]), f"{words.share(last['effect'] / last['tolerance'])} used"),
            ("evidence", words.evidence(last["evidence"]), ""),
            ("n", words.figure(last["n"]), "rows"),
            ("missing", words.share(rates.get("missing")), ""),
            ("unseen", words.share(rates.get("unseen")), ""),
        ]
    )


def _cells(data: PageData) -> Component | None:
    lines = [
        [row["cell"], words.share(row["reference"]), words.share(row["current"]), words.points(row["difference"])]
        for row in data.rows("column_cells")
        if row["reference"] or row["current"]
    ]
    if not lines:
        return None
    return cards.plate(
        "Every cell", parts.table(("cell", "then", "now", "change, points"), lines, numbers=(1, 2, 3), slim=True)
    )


def _examples(data: PageData, zone: tzinfo) -> Component:
    return cards.card(named("examples"), data.answers["examples"], cards.examples(data, data.address.column, zone))
