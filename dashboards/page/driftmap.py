"""The drift map: columns x time, grey within the tolerance, orange to vermilion where a column has drifted."""

from itertools import pairwise
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboards import words
from dashboards.page import look
from dashboards.page.canvas import Canvas

#: Rows that a reader still takes in; the most moved stand on top.
ROWS_MAX = 24
_STEP_PX = 25
#: Shade 0 to 1 is the effect in tolerances; above 1 only what drifted is shown.
_SHADE_MAX = 3.0
_SHADES = [
    [0.0, look.washed(look.FINE, 0.10)],
    [0.333, look.washed(look.FINE, 0.36)],
    [0.334, look.washed(look.CURRENT, 0.6)],
    [0.6, look.washed(look.CURRENT, 1.0)],
    [1.0, look.washed(look.CRITICAL, 1.0)],
]


def draw(frame: pd.DataFrame, canvas: Canvas) -> go.Figure:
    """Draw the map; ``time`` of the frame is local already, and ``begin``, which is told."""
    drifted = frame["drifted"].astype(bool)
    frame = frame.assign(
        # A small sample's effect may pass the tolerance by chance: without the judge's word it stays grey.
        shade=frame["ratio"].where(drifted, frame["ratio"].clip(upper=0.99)),
        text=[_hover(row, canvas.years) for row in frame.to_dict("records")],
    )
    names = order(frame)[:ROWS_MAX][::-1]
    shown = frame[frame["column"].isin(names)]
    shades = shown.pivot_table(index="column", columns="time", values="shade").reindex(names)
    texts = shown.pivot_table(index="column", columns="time", values="text", aggfunc="first").reindex(names)
    times = _with_gaps(shades.columns, canvas.step)
    figure = go.Figure(
        go.Heatmap(
            x=times,
            y=names,
            z=shades.reindex(columns=times).to_numpy(),
            text=texts.reindex(columns=times).to_numpy(),
            hoverinfo="text",
            hoverongaps=False,
            colorscale=_SHADES,
            zmin=0,
            zmax=_SHADE_MAX,
            showscale=False,
            xgap=1,
            ygap=3,
        )
    )
    figure.update_layout(height=_STEP_PX * len(names) + 40, hovermode="closest")
    figure.update_yaxes(
        showgrid=False,
        tickmode="array",
        tickvals=names,
        ticktext=[f'<a href="{canvas.link(name)}" target="_self">{short(name)}</a>' for name in names],
    )
    _outline(figure, names, shades.columns, canvas)
    return figure


def order(frame: pd.DataFrame) -> list[str]:
    """Columns, the most moved first: what drifted, by its largest effect; then the rest by theirs."""
    by_column = frame.assign(drifted=frame["drifted"].astype(bool)).groupby("column")[["drifted", "ratio"]].max()
    return [str(name) for name in by_column.sort_values(["drifted", "ratio"], ascending=False).index]


def short(name: str, most: int = 18) -> str:
    """A name that fits beside a chart.

    >>> short("a_rather_long_feature_name")
    'a_rather_long_fea…'
    """
    return name if len(name) <= most else name[: most - 1] + "…"


def _with_gaps(times: "pd.Index[Any]", step: pd.Timedelta) -> "pd.Index[Any]":
    """Times of a map with an empty column at both ends of each gap: a cell reaches half way to its neighbours.

    >>> minute = pd.Timedelta(1, "min")
    >>> found = _with_gaps(pd.DatetimeIndex(["2026-01-01 00:00", "2026-01-01 00:01", "2026-01-01 00:04"]), minute)
    >>> found.minute.tolist()
    [0, 1, 2, 3, 4]
    """
    edges: list[pd.Timestamp] = []
    for before, after in pairwise(times):
        if after - before > 1.5 * step:  # By a calendar a window may be an hour longer than the others.
            edges += [before + step, after - step]
    return times.append(pd.Index(edges).astype(times.dtype)).unique().sort_values() if edges else times


def _outline(figure: go.Figure, names: list[str], times: "pd.Index[Any]", canvas: Canvas) -> None:
    # A cell reaches half way to its neighbours, and as far on its free side.
    before, after = (
        ((times[1] - times[0]) / 2, (times[-1] - times[-2]) / 2) if len(times) > 1 else (canvas.step / 2,) * 2
    )
    for mark in canvas.marks:
        first = max(canvas.moment(mark.start), times[0]) - before
        last = min(canvas.moment(mark.end or canvas.end), times[-1]) + after
        for row in (names.index(name) for name in mark.columns if name in names):
            figure.add_shape(
                type="rect",
                x0=first,
                x1=last,
                y0=row - 0.5,
                y1=row + 0.5,
                line={"color": look.SEVERITIES.get(mark.severity, look.WATCH), "width": 2},
            )


def _hover(row: dict[Any, Any], years: bool) -> str:
    size = f"{row['statistic'].upper()} {words.figure(row['effect'])}"
    of = f"{words.figure(row['ratio'])} × the tolerance {words.figure(row['tolerance'])}"  # noqa: RUF001
    verdict = "drifted" if row["drifted"] else "not drifted"
    begin = row["begin"]
    when = f"{begin:%b} {begin.day}{f', {begin.year}' if years else ''}, {begin:%H:%M}"
    return f"<b>{row['column']}</b>, {when}<br>{size}, {of}<br>{verdict}, n {row['n']:,}"
