"""What is drawn on top of a chart's series: washes between two lines, named limits, incidents, the axis of time."""

import math
from collections.abc import Iterable
from typing import TypeAlias

import pandas as pd
import plotly.graph_objects as go

from dashboards import theme
from dashboards.page.chart_context import ChartContext

Series: TypeAlias = "pd.Series[float]"
_DAY = pd.Timedelta(24, "h")
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
#: Up to so many points each carries a dot: one sees what was measured and what is a line between.
_FEW = 12
_DOT_PX, _BAR_PX = 6, 10
_TWO_LINES_PX = 40


def line(values: Series, colour: str, dash: str = "solid") -> dict[str, object]:
    """How a series is drawn: a line, and a dot on each point where they are few or one stands alone.

    Parameters
    ----------
    values
        Points in the order of the axis; NaN is a gap.
    colour
        As ``#0072B2``.
    dash
        A dash of Plotly: ``solid``, ``dot``, ``dash``, or one of its longer names.

    >>> line(pd.Series([0.1, None, 0.3, 0.2] + [0.2] * 20), "#000")["marker"]["size"][:4]
    [6, 0, 0, 0]
    >>> line(pd.Series([0.1]), "#000")["marker"]["size"]
    [6]
    >>> line(pd.Series([0.1] * 20), "#000")["mode"]
    'lines'
    """
    known = values.notna()
    alone = known & ~known.shift(1, fill_value=False) & ~known.shift(-1, fill_value=False)
    dotted = known if known.sum() <= _FEW else alone
    stroke = {"line": {"color": colour, "width": 2, "dash": dash}}
    if not dotted.any():
        return {"mode": "lines", **stroke}
    sizes = [_DOT_PX if dot else 0 for dot in dotted]
    marker = {"color": colour, "size": sizes, "opacity": 1, "line": {"width": 0}}
    return {"mode": "lines+markers", "marker": marker, **stroke}


def wash(figure: go.Figure, time: Iterable[object], low: Series, high: Series, colour: str, alpha: float = 0.2) -> None:
    """Fill between two lines: an interval, or the middle half; of a single point, a bar.

    Parameters
    ----------
    time, low, high
        The places on the axis of time, and the two lines there; of one length.
    colour
        As ``#0072B2``; it is made translucent.
    alpha
        How opaque the fill is, from 0 to 1.
    """
    quiet = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    if len(low) == 1:
        bar = {"color": theme.washed(colour, alpha), "width": _BAR_PX}
        figure.add_scatter(x=[*time] * 2, y=[*low, *high], **{**quiet, "line": bar})
        return
    figure.add_scatter(x=time, y=low, **quiet)
    figure.add_scatter(x=time, y=high, fill="tonexty", fillcolor=theme.washed(colour, alpha), **quiet)


def limit(figure: go.Figure, values: Series, name: str, colour: str = theme.CRITICAL, *, log: bool = False) -> None:
    """Draw a line that means something at the newest of ``values``, and name it.

    Parameters
    ----------
    values
        The limit over time; where all are NaN nothing is drawn.
    name
        Stands on the line, at the right.
    log
        The axis of values is logarithmic.
    """
    known = values.dropna()
    if len(known) == 0:
        return
    level = float(known.iloc[-1])
    figure.add_hline(y=level, line={"color": colour, "width": 1.5, "dash": "dash"})
    figure.add_annotation(
        text=name,
        x=1,
        xref="paper",
        y=math.log10(level) if log else level,
        yref="y",
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11},
        bgcolor="rgba(255,255,255,.01)",
    )


def time_axis(figure: go.Figure, context: ChartContext) -> None:
    """Write times as finely as the ticks lie apart, so that no two read alike; in days and hours beyond a day."""
    beyond = context.end - context.start >= _DAY
    year = ", %Y" if context.years else ""
    stops = [
        ((None, _MINUTE_MS - 1), "%H:%M:%S"),
        ((_MINUTE_MS, _DAY_MS - 1), f"%b %-d{year}<br>%H:%M" if beyond else "%H:%M"),
        ((_DAY_MS, "M1"), f"%b %-d{year}"),
        (("M1", None), "%b %Y"),
    ]
    figure.update_xaxes(
        tickformatstops=[{"dtickrange": range_, "value": form} for range_, form in stops],
        hoverformat=f"%b %-d{year}, %H:%M",
    )
    if beyond:
        figure.update_layout(margin={"b": _TWO_LINES_PX})


def stretch(figure: go.Figure, context: ChartContext) -> None:
    """Show the whole stretch of time, and where incidents changed."""
    figure.update_xaxes(range=[context.moment(context.start), context.moment(context.end)])
    for mark in context.marks:
        if context.start <= mark.start <= context.end:
            colour = theme.SEVERITIES.get(mark.severity, theme.WATCH)
            figure.add_vline(x=context.moment(mark.start), line={"color": colour, "width": 1.5, "dash": "dot"})
