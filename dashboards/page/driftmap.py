"""The drift map: columns x time, grey within the tolerance, orange to vermilion where a column has drifted."""

from itertools import pairwise
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboards import drift_map, theme, words
from dashboards.page.chart_context import ChartContext

_STEP_PX = 25


def draw(frame: pd.DataFrame, context: ChartContext) -> go.Figure:
    """Draw the map; ``time`` of the frame is local already, and ``begin``, which is told."""
    frame = frame.assign(text=[_hover(row, context.years) for row in frame.to_dict("records")])
    names = drift_map.order(frame)[: drift_map.ROWS_MAX][::-1]
    shown = frame[frame["column"].isin(names)]
    shades = drift_map.grid(frame, names, "time")
    texts = shown.pivot_table(index="column", columns="time", values="text", aggfunc="first").reindex(names)
    times = _with_gaps(shades.columns, context.step)
    figure = go.Figure(
        go.Heatmap(
            x=times,
            y=names,
            z=shades.reindex(columns=times).to_numpy(),
            text=texts.reindex(columns=times).to_numpy(),
            hoverinfo="text",
            hoverongaps=False,
            colorscale=drift_map.SCALE,
            zmin=0,
            zmax=drift_map.SHADE_MAX,
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
        ticktext=[f'<a href="{context.link(name)}" target="_self">{short(name)}</a>' for name in names],
    )
    _outline(figure, names, shades.columns, context)
    return figure


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


def _outline(figure: go.Figure, names: list[str], times: "pd.Index[Any]", context: ChartContext) -> None:
    # A cell reaches half way to its neighbours, and as far on its free side.
    before, after = (
        ((times[1] - times[0]) / 2, (times[-1] - times[-2]) / 2) if len(times) > 1 else (context.step / 2,) * 2
    )
    for mark in context.marks:
        first = max(context.moment(mark.start), times[0]) - before
        last = min(context.moment(mark.end or context.end), times[-1]) + after
        for row in (names.index(name) for name in mark.columns if name in names):
            figure.add_shape(
                type="rect",
                x0=first,
                x1=last,
                y0=row - 0.5,
                y1=row + 0.5,
                line={"color": theme.SEVERITIES.get(mark.severity, theme.WATCH), "width": 2},
            )


def _hover(row: dict[Any, Any], years: bool) -> str:
    size = f"{row['statistic'].upper()} {words.figure(row['effect'])}"
    of = f"{words.figure(row['ratio'])} × the tolerance {words.figure(row['tolerance'])}"  # noqa: RUF001
    verdict = "drifted" if row["drifted"] else "not drifted"
    begin = row["begin"]
    when = f"{begin:%b} {begin.day}{f', {begin.year}' if years else ''}, {begin:%H:%M}"
    return f"<b>{row['column']}</b>, {when}<br>{size}, {of}<br>{verdict}, n {row['n']:,}"
