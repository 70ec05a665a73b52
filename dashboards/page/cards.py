"""The panels of a page and what stands above them."""

from collections.abc import Sequence
from datetime import tzinfo

from dash import dcc, html
from dash.development.base_component import Component

from dashboards import words
from dashboards.page import chart_style, parts
from dashboards.page.address import STRETCHES, Address
from dashboards.page.chart_context import ChartContext
from dashboards.page.charts import draw
from dashboards.page.page_data import PageData
from dashboards.page.parts import Child
from dashboards.page.query_cache import Answer
from dashboards.page.sentence import Verdict
from dashboards.panels import Panel, named


def opening(crumbs: Sequence[tuple[str, str]], verdict: Verdict, in_utc: Verdict) -> Component:
    """Where we are, and the sentence; its hover says the same in UTC.

    Parameters
    ----------
    crumbs
        Name and link of each page above this one, and of this one last, whose link is empty.
    verdict, in_utc
        The same sentence with times in the reader's zone, and in UTC.
    """
    trail: list[Child] = []
    for name, href in crumbs:
        trail += [dcc.Link(name, href=href) if href else html.Span(name), html.Span("/", className="slash")]
    return html.Header(
        [
            html.Nav(trail[:-1], className="crumbs", **{"aria-label": "Where you are"}),
            html.H1(
                [parts.chip(verdict.severity), html.Span(parts.firm(verdict.text))],
                className="sentence",
                title=in_utc.text,
                **{"aria-live": "polite"},
            ),
        ],
        className="opening",
    )


def stretches(address: Address, window_ms: int) -> Component:
    """Links to the same page over another stretch of time, of those that hold two windows."""
    lengths = [last for last, length_ms in STRETCHES.items() if length_ms >= 2 * window_ms]
    offered = {"": "newest", **{last: f"{last[:-1]} {last[-1]}" for last in lengths}}
    here = address.go(last="", start_ms=None, end_ms=None)
    links = [
        dcc.Link(
            text,
            href=here.go(last=last).href,
            className="here" if last == address.last and address.start_ms is None else "",
        )
        for last, text in offered.items()
    ]
    return html.Nav(links, className="stretches", **{"aria-label": "Stretch of time"})


def card(panel: Panel, answer: Answer, body: Child | list[Child], *, wide: bool = False, note: str = "") -> Component:
    """A panel: its title asks the question on hover, its stale picture says since when.

    Parameters
    ----------
    answer
        Of the panel's query. One with `trouble` is an old picture, and the panel says so.
    body
        What stands below the title; None is left out.
    wide
        Over the page's whole width.
    note
        A few words beside the title.
    """
    stale = words.utc(answer.asked_ms) if answer.trouble else ""
    return html.Section(
        [
            html.Div(
                [
                    html.H2(panel.title, title=panel.question),
                    html.Span(note, className="note") if note else None,
                    html.Details(
                        [html.Summary("?", title=panel.question), html.P([html.B(panel.question), " ", panel.todo])],
                        className="why",
                    ),
                ],
                className="head",
            ),
            html.P(f"Not refreshed since {stale}: {answer.trouble}", className="stale", role="alert")
            if stale
            else None,
            *(body if isinstance(body, list) else [body]),
        ],
        className="panel panel--wide" if wide else "panel",
        id=f"panel-{panel.name}",
        **{"aria-label": panel.title},
    )


def plate(title: str, body: Child | list[Child], question: str = "", *, wide: bool = False) -> Component:
    """A panel that asks the store nothing of its own.

    Parameters
    ----------
    body
        What stands below the title; None is left out.
    question
        The hover of the title; without one the title itself.
    wide
        Over the page's whole width.
    """
    return html.Section(
        [
            html.Div(html.H2(title, title=question or title), className="head"),
            *(body if isinstance(body, list) else [body]),
        ],
        className="panel panel--wide" if wide else "panel",
        **{"aria-label": title},
    )


def chart(
    name: str,
    answer: Answer,
    context: ChartContext,
    *,
    wide: bool = False,
    note: str = "",
    empty: str = "",
    key: Child = None,
) -> Component:
    """A panel with its drawing, or with what to do while there is nothing to draw.

    Parameters
    ----------
    name
        Of a panel in `dashboards.panels`.
    answer
        Of its query; an empty frame gives `empty` in place of the drawing.
    wide, note
        As of `card`.
    empty
        What to do while there is nothing to draw; without it, that nothing is there.
    key
        What the drawing's colours mean, below it.
    """
    panel = named(name)
    if answer.frame.empty:
        return card(panel, answer, parts.blank(empty or "Nothing in this stretch of time."), wide=wide)
    drawing = draw(panel, answer.frame, context)
    graph = dcc.Graph(
        id=f"chart-{name}",
        figure=drawing,
        config=chart_style.CONFIG,
        className="chart",
        responsive=True,
        style={"height": f"{drawing.layout.height}px"},
    )
    figure = html.Div(graph, role="figure", **{"aria-label": f"{panel.title}. {panel.question}"})
    return card(panel, answer, [figure, key], wide=wide, note=note)


def examples(data: PageData, column: str, zone: tzinfo) -> Component:
    """The newest rows, with one column's value.

    Parameters
    ----------
    data
        Has an answer of the panel ``examples``: the newest rows, with the value of `column`.
    column
        Heads the column of values.
    zone
        That times are shown in.
    """
    lines = [
        [
            parts.moment(row["time"], zone, data.beside, seconds=True),
            html.Code(row["id"]),
            row["value"],
            words.figure(row["score"]),
            row["prediction"],
        ]
        for row in data.rows("examples")
    ]
    if not lines:
        return parts.blank("No row is kept from this stretch of time.")
    return parts.table(("time", "id", column, "score", "prediction"), lines, numbers=(3,))
