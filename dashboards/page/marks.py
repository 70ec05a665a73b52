"""What is drawn on top of a chart's series: washes between two lines, named limits, incidents, the axis of time."""

import math
from collections.abc import Iterable
from typing import TypeAlias

import pandas as pd
import plotly.graph_objects as go

from dashboards.page import look
from dashboards.page.canvas import Canvas

Series: TypeAlias = "pd.Series[float]"
_DAY_AND_HALF = pd.Timedelta(36, "h")


def line(colour: str, dash: str = "solid") -> dict[str, object]:
    """How a series is drawn."""
    return {"mode": "lines", "line": {"color": colour, "width": 2, "dash": dash}}


def wash(figure: go.Figure, time: Iterable[object], low: Series, high: Series, colour: str, alpha: float = 0.2) -> None:
    """Fill between two lines: an interval, or the middle half."""
    quiet = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=time, y=low, **quiet)
    figure.add_scatter(x=time, y=high, fill="tonexty", fillcolor=look.washed(colour, alpha), **quiet)


def limit(figure: go.Figure, values: Series, name: str, colour: str = look.CRITICAL, *, log: bool = False) -> None:
    """Draw a line that means something at the newest of ``values``, and name it; ``log`` where the axis is."""
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
    )


def time_axis(figure: go.Figure, canvas: Canvas) -> None:
    """Write times in hours, or in days where there are many."""
    span = canvas.end - canvas.start
    figure.update_xaxes(tickformat="%H:%M" if span <= _DAY_AND_HALF else "%b %-d", hoverformat="%b %-d, %H:%M")


def stretch(figure: go.Figure, canvas: Canvas) -> None:
    """Show the whole stretch of time, and where incidents changed."""
    figure.update_xaxes(range=[canvas.moment(canvas.start), canvas.moment(canvas.end)])
    for mark in canvas.marks:
        if canvas.start <= mark.start <= canvas.end:
            colour = look.SEVERITIES.get(mark.severity, look.WATCH)
            figure.add_vline(x=canvas.moment(mark.start), line={"color": colour, "width": 1.5, "dash": "dot"})
