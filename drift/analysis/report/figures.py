"""The figures of a report: blue is the reference, orange what came; light, for paper."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboards.drift_map import SCALE, SHADE_MAX, grid
from dashboards.theme import CRITICAL, CURRENT, FINE, REFERENCE, WATCH, washed
from drift.reference.reference import Reference

#: Rows and levels that a reader still takes in.
_MAP_ROWS_MAX = 20
_LEVELS_MAX = 8
_WIDTH, _HALF = 700, 226


def drift_map(reports: pd.DataFrame, order: list[str], incidents: pd.DataFrame) -> go.Figure:
    """Columns x windows; grey within the tolerance, orange to vermilion where a column has drifted.

    Parameters
    ----------
    reports
        A row per window and column, with ``ratio``, the effect in tolerances.
    order
        Names of columns, the first on top.
    incidents
        A row per incident: a line where it opened.
    """
    names = order[:_MAP_ROWS_MAX][::-1]
    cells = grid(reports, names, "window")
    figure = blank(24 * len(names) + 60)
    figure.add_heatmap(
        x=cells.columns,
        y=names,
        z=cells.to_numpy(),
        zmin=0,
        zmax=SHADE_MAX,
        colorscale=SCALE,
        ygap=2,
        hovertemplate="%{y}, window %{x}<br>%{z:.2f} tolerances<extra></extra>",
        colorbar={
            "title": {"text": "effect / tolerance", "side": "right"},
            "thickness": 8,
            "tickvals": [0, 1, 2, 3],
            "ticktext": ["0", "1", "2", "3+"],
        },
    )
    if pd.api.types.is_integer_dtype(cells.columns.dtype):
        figure.update_xaxes(title={"text": "window", "standoff": 4})
    for row in incidents.to_dict("records"):
        colour = CRITICAL if row["severity"] == "critical" else WATCH
        figure.add_vline(x=row["opened"], line={"color": colour, "width": 1.5, "dash": "dot"})
    return figure


def before_and_now(reference: Reference, name: str, counts: np.ndarray) -> go.Figure:
    """A column in the reference and in what came: shares by level, or the distribution functions of a number.

    Parameters
    ----------
    counts
        int64 [cells of the column]: the rows that came.
    """
    cells = reference.columns[reference.place(name)]
    then, now = (flat / max(1, flat.sum()) for flat in (reference.of(name), counts))
    figure = blank(210, _HALF)
    if cells.kind == "numeric":
        bounds = np.asarray(cells.bounds[1:-1], float)
        for what, shares, colour in (("reference", then, REFERENCE), ("stream", now, CURRENT)):
            below = np.cumsum(shares)[1 : len(bounds) + 1]
            figure.add_scatter(x=bounds, y=100 * below, name=what, mode="lines", line={"color": colour, "width": 2})
        figure.update_yaxes(range=[0, 100], ticksuffix=" %")
        return figure
    largest = np.argsort(-np.abs(now - then), kind="stable")[:_LEVELS_MAX]
    kept = [cell for cell in largest if then[cell] or now[cell]][::-1]
    labels = [_short(cells.labels[cell]) for cell in kept]
    for what, shares, colour in (("stream", now, CURRENT), ("reference", then, REFERENCE)):
        bar = {"color": colour}
        figure.add_bar(y=labels, x=[100 * shares[cell] for cell in kept], name=what, orientation="h", marker=bar)
    figure.update_layout(barmode="group", bargap=0.3, legend={"traceorder": "reversed"})
    figure.update_xaxes(ticksuffix=" %", rangemode="tozero")
    figure.update_yaxes(type="category")
    return figure


def metric_over_time(figures: pd.DataFrame, metric: str, reference: float | None) -> go.Figure:
    """A metric window by window: realised with its interval, estimated as a line, the reference's as a rule.

    Parameters
    ----------
    figures
        A row per window and metric.
    reference
        The metric on the training data; None where it is not known.
    """
    rows = figures[figures["metric"] == metric].astype(
        {"estimated": float, "realised": float, "low": float, "high": float}
    )
    figure = blank(170)
    if rows["low"].notna().any():
        band = rows[rows["low"].notna()]
        figure.add_scatter(x=band["window"], y=band["high"], mode="lines", line={"width": 0}, showlegend=False)
        wash = {"mode": "lines", "line": {"width": 0}, "fill": "tonexty", "fillcolor": washed(CURRENT, 0.18)}
        figure.add_scatter(x=band["window"], y=band["low"], name="95 % interval", **wash)
    for what, colour, dash in (("realised", CURRENT, "solid"), ("estimated", FINE, "dot")):
        if rows[what].notna().any():
            line = {"color": colour, "width": 2, "dash": dash}
            figure.add_scatter(x=rows["window"], y=rows[what], name=what, mode="lines", line=line)
    if reference is not None:
        line = {"color": REFERENCE, "width": 1.5}
        figure.add_scatter(x=rows["window"], y=[reference] * len(rows), name="reference", mode="lines", line=line)
    return figure.update_layout(showlegend=True)


def html(figure: go.Figure, *, first: bool) -> str:
    """A figure as part of a page; the first one brings the library that draws all of them."""
    still = {"displayModeBar": False, "staticPlot": False, "responsive": False}
    return str(figure.to_html(full_html=False, include_plotlyjs=first, config=still))


def blank(height: int, width: int = _WIDTH) -> go.Figure:
    """A figure without anything in it yet, in pixels."""
    figure = go.Figure()
    figure.update_layout(
        width=width,
        height=height,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        font={"family": "system-ui, sans-serif", "size": 11, "color": "#3A3F46"},
        paper_bgcolor="white",
        plot_bgcolor="white",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        dragmode=False,
    )
    axis = {"automargin": True, "gridcolor": "#E8EAED", "zeroline": False, "fixedrange": True}
    return figure.update_xaxes(**axis).update_yaxes(**axis)


def _short(text: str, most: int = 16) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
