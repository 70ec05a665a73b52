"""One column: how did it move?"""

from datetime import tzinfo

from dash import html
from dash.development.base_component import Component

from dashboards import words
from dashboards.page import cards, parts
from dashboards.page.canvas import Canvas
from dashboards.page.sheet import Sheet
from dashboards.panels import named

_NO_REFERENCE = "The reference of this model is not in the store yet; it comes with the model's first route."
_NO_WINDOW = "No window has closed; the first one does a minute after it ends."


def draw(sheet: Sheet, zone: tzinfo, canvas: Canvas) -> list[Component | None]:
    """The page beneath its sentence."""
    answers = sheet.answers
    over_time = [
        cards.chart("column_effect", answers["column_effect"], canvas, empty=_NO_WINDOW),
        cards.chart("column_rollups", answers["column_rollups"], canvas, empty=_NO_REFERENCE),
        cards.chart("column_distances", answers["column_distances"], canvas, empty=_NO_WINDOW),
        cards.chart("column_quality", answers["column_quality"], canvas, empty=_NO_WINDOW),
        _examples(sheet, zone),
    ]
    by_cell = [cards.chart("column_cells", answers["column_cells"], canvas, empty=_NO_REFERENCE), _cells(sheet)]
    return [_figures(sheet), html.Div(by_cell, className="stack"), html.Div(over_time, className="stack")]


def _figures(sheet: Sheet) -> Component | None:
    effects = sheet.rows("column_effect")
    if not effects:
        return None
    last = effects[-1]
    interval = words.interval(last["low"], last["high"])
    rates = {row["rate"]: row["share"] for row in sheet.rows("column_quality")}
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


def _cells(sheet: Sheet) -> Component | None:
    lines = [
        [row["cell"], words.share(row["reference"]), words.share(row["current"]), words.points(row["difference"])]
        for row in sheet.rows("column_cells")
        if row["reference"] or row["current"]
    ]
    if not lines:
        return None
    return cards.plate(
        "Every cell", parts.table(("cell", "then", "now", "change, points"), lines, numbers=(1, 2, 3), slim=True)
    )


def _examples(sheet: Sheet, zone: tzinfo) -> Component:
    return cards.card(named("examples"), sheet.answers["examples"], cards.examples(sheet, sheet.address.column, zone))
