"""One function a drawing kind: a panel and its frame in, a figure out.

Times in the frames are UTC instants at which a drawing interval begins; charts show them in the reader's zone, a point
in the middle of its interval, so that few points fill the picture, too.
"""

import math
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go

from dashboards import theme, words
from dashboards.page import chart_style, driftmap, marks
from dashboards.page.chart_context import ChartContext
from dashboards.panels import Drawing, Panel, Unit

#: Pairs of bars that a reader still takes in.
BARS_MAX = 14
_BAR_PX = 40
#: Evidence is drawn from .1 to this often the budget; beyond, it runs along the edge and its hover tells it.
_ABOVE_BUDGET = 1e5
#: Ages that are written on an axis, in seconds; and the share of the highest value from which on a curve is drawn.
_AGES = (1, 10, 60, 600, 3600, 21_600, 86_400, 604_800, 2_592_000)
_NONE_YET = 0.01
#: Smallest end of an axis, by unit, so that noise about zero is not drawn large.
_TOP_MIN = {"share": 1.0, "effect": 0.1}
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def draw(panel: Panel, frame: pd.DataFrame, context: ChartContext) -> go.Figure:
    """Draw a panel.

    Parameters
    ----------
    frame
        The answer of the panel's query: its columns as `Panel.columns` names them, times in UTC.
    context
        Zone, range and drawing interval of the page, and its incidents.
    """
    if "time" in frame:
        begin = context.local(frame["time"])
        frame = frame.assign(begin=begin, time=begin + context.step / 2)
    if panel.drawing == "map":
        figure = driftmap.draw(frame, context)
    elif panel.drawing == "steps":
        figure = _steps(panel, frame, context)
    else:
        figure = _DRAW[panel.drawing](panel, frame)
    figure.update_layout(template=chart_style.TEMPLATE, uirevision=panel.name)
    if panel.height:
        figure.update_layout(height=panel.height)
    if "time" in frame:
        marks.time_axis(figure, context)
        if panel.drawing != "map":
            marks.stretch(figure, context)
    return figure


def _lines(panel: Panel, frame: pd.DataFrame) -> go.Figure:
    wide = _wide(panel, frame)
    figure = go.Figure()
    for name, colour, dash in zip(wide.columns, _cycle(theme.SERIES, wide), _cycle(_DASHES, wide), strict=True):
        figure.add_scatter(
            x=wide.index,
            y=wide[name] * (100 if panel.unit == "share" else 1),
            name=str(name),
            customdata=[spelled(panel.unit, value) for value in wide[name]],
            hovertemplate="%{customdata}",
            **marks.line(wide[name], colour, dash),
        )
    percent = panel.unit == "share"
    top = float(wide.max().max() if wide.size else 0.0) * (100 if percent else 1)
    figure.update_yaxes(range=[0, max(top * 1.12, _TOP_MIN.get(panel.unit, 10.0))])
    figure.update_yaxes(tickformat="~s" if panel.unit == "rows" else "~g", ticksuffix=" %" if percent else "")
    figure.update_layout(showlegend=len(wide.columns) > 1)
    return figure


def _evidence(panel: Panel, frame: pd.DataFrame) -> go.Figure:
    """Powers of ten around the budget: the line that matters stays in the middle of the picture."""
    wide = _wide(panel, frame)
    budget = wide.pop("budget") if "budget" in wide else pd.Series(dtype=float)
    edge = float(budget.max() if len(budget) else 1e4) * _ABOVE_BUDGET
    figure = go.Figure()
    for name, colour, dash in zip(wide.columns, _cycle(theme.SERIES, wide), _cycle(_DASHES, wide), strict=True):
        figure.add_scatter(
            x=wide.index,
            y=wide[name].clip(0.1, edge),
            name=str(name),
            customdata=[words.evidence(value) for value in wide[name]],
            hovertemplate="%{customdata}",
            **marks.line(wide[name], colour, dash),
        )
    marks.limit(figure, budget, f"budget {words.figure(budget.max() if len(budget) else None)}", log=True)
    powers = range(0, int(math.log10(edge)) + 1, 2)
    figure.update_yaxes(
        type="log",
        range=[-1, math.log10(edge) + 0.2],
        tickvals=[10**power for power in powers],
        ticktext=[words.power_of_ten(power) if power else "1" for power in powers],
    )
    return figure


def _effect(panel: Panel, frame: pd.DataFrame) -> go.Figure:  # noqa: ARG001
    figure = go.Figure()
    marks.wash(figure, frame["time"], frame["low"], frame["high"], theme.CURRENT)
    figure.add_scatter(
        x=frame["time"],
        y=frame["effect"],
        customdata=[
            f"{row['statistic'].upper()} {words.figure(row['effect'])} {words.interval(row['low'], row['high'])}, "
            f"n {row['n']:,}, evidence {words.evidence(row['evidence'])}"
            for row in frame.to_dict("records")
        ],
        hovertemplate="%{customdata}<extra></extra>",
        **marks.line(frame["effect"], theme.CURRENT),
    )
    marks.limit(figure, frame["tolerance"], "tolerance")
    figure.update_layout(showlegend=False)
    figure.update_yaxes(range=[0, float(frame[["high", "tolerance"]].max().max()) * 1.12])
    return figure


def _performance(panel: Panel, frame: pd.DataFrame) -> go.Figure:  # noqa: ARG001
    figure = go.Figure()
    known = frame.dropna(subset=["realised"])
    marks.wash(figure, known["time"], known["low"], known["high"], theme.CURRENT)
    figure.add_scatter(
        x=known["time"],
        y=known["realised"],
        name="realised",
        customdata=[
            f"{words.figure(row['realised'])} {words.interval(row['low'], row['high'])}, "
            f"labels cover {words.share(row['coverage'])}"
            for row in known.to_dict("records")
        ],
        hovertemplate="%{customdata}",
        **marks.line(known["realised"], theme.CURRENT),
    )
    if frame["estimated"].notna().any():
        figure.add_scatter(
            x=frame["time"],
            y=frame["estimated"],
            name="estimated",
            hovertemplate="%{y:.3f}",
            **marks.line(frame["estimated"], theme.FINE, "dot"),
        )
    marks.limit(figure, frame["reference"], "in the reference", theme.REFERENCE)
    figure.update_yaxes(tickformat=".3~f")
    return figure


def _ages(panel: Panel, frame: pd.DataFrame) -> go.Figure:  # noqa: ARG001
    """Shares over the logarithm of the age, from where the first labels come."""
    arriving = frame[frame["expected"] > _NONE_YET * frame["expected"].max()]
    figure = go.Figure()
    figure.add_scatter(
        x=arriving["age"],
        y=arriving["expected"] * 100,
        name="expected",
        customdata=[
            f"by {words.span(row['age'] * 1000)} a label of {words.share(row['expected'])} is expected"
            for row in arriving.to_dict("records")
        ],
        hovertemplate="%{customdata}<extra></extra>",
        **marks.line(arriving["expected"], theme.REFERENCE),
    )
    now = arriving.dropna(subset=["covered"])
    figure.add_scatter(
        x=now["age"],
        y=now["covered"] * 100,
        name="now",
        mode="markers",
        marker={"color": theme.CURRENT, "size": 7},
        customdata=[
            f"{words.span(row['age'] * 1000)} old: {words.share(row['covered'])} of {row['rows']:,.0f} have a label"
            for row in now.to_dict("records")
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(type="log", tickvals=list(_AGES), ticktext=[words.span(age * 1000) for age in _AGES])
    figure.update_yaxes(rangemode="tozero", tickformat="~g", ticksuffix=" %")
    return figure


def _fan(panel: Panel, frame: pd.DataFrame) -> go.Figure:  # noqa: ARG001
    figure = go.Figure()
    marks.wash(figure, frame["time"], frame["p05"], frame["p95"], theme.CURRENT, 0.13)
    marks.wash(figure, frame["time"], frame["p25"], frame["p75"], theme.CURRENT, 0.24)
    figure.add_scatter(
        x=frame["time"],
        y=frame["p50"],
        customdata=[
            f"median {words.figure(row['p50'])}<br>half within {words.interval(row['p25'], row['p75'])}<br>"
            f"nine in ten within {words.interval(row['p05'], row['p95'])}"
            for row in frame.to_dict("records")
        ],
        hovertemplate="%{customdata}<extra></extra>",
        **marks.line(frame["p50"], theme.CURRENT),
    )
    figure.update_layout(showlegend=False)
    return figure


def _bars(panel: Panel, frame: pd.DataFrame) -> go.Figure:  # noqa: ARG001
    """Two bars a cell, the largest difference on top."""
    lived = frame[(frame["reference"] > 0) | (frame["current"] > 0)]
    shown = lived.reindex(lived["difference"].abs().sort_values(ascending=False).index)[:BARS_MAX][::-1]
    cells = [driftmap.short(str(cell)) for cell in shown["cell"]]
    figure = go.Figure()
    for name, colour in (("current", theme.CURRENT), ("reference", theme.REFERENCE)):
        figure.add_bar(
            y=cells,
            x=shown[name],
            name=name,
            orientation="h",
            marker={"color": colour, "cornerradius": 3},
            text=[words.share(value) for value in shown[name]],
            textposition="outside",
            textfont={"size": 11},
            cliponaxis=False,
            hovertemplate="%{text}",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.3,
        bargroupgap=0.06,
        height=_BAR_PX * len(cells) + 40,
        hovermode="y unified",
        legend={"traceorder": "reversed"},
        margin={"b": 0},
    )
    top = float(shown[["reference", "current"]].max().max()) if len(shown) else 1.0
    figure.update_xaxes(showgrid=False, showticklabels=False, range=[0, top * 1.2])
    figure.update_yaxes(showgrid=False, type="category", tickmode="linear", dtick=1)
    return figure


def _steps(panel: Panel, frame: pd.DataFrame, context: ChartContext) -> go.Figure:
    """Counts, stacked; a bar is as wide as its interval."""
    wide = _wide(panel, frame).fillna(0)
    figure = go.Figure()
    for name, colour in zip(wide.columns, _cycle(theme.SERIES, wide), strict=True):
        figure.add_bar(
            x=wide.index,
            y=wide[name],
            name=str(name),
            width=context.step / pd.Timedelta(1, "ms"),
            marker={"color": theme.washed(colour, 0.4), "line": {"width": 0}},
            hovertemplate="%{y:,} " + panel.unit,
        )
    figure.update_layout(barmode="stack", bargap=0)
    figure.update_yaxes(rangemode="tozero", tickformat="~s")
    figure.update_layout(showlegend=len(wide.columns) > 1)
    return figure


def _wide(panel: Panel, frame: pd.DataFrame) -> pd.DataFrame:
    """Long rows (time, series, value) as a column a series, in the query's order."""
    time, series, value = panel.columns[:3]
    order = list(dict.fromkeys(frame[series]))
    return frame.pivot_table(index=time, columns=series, values=value, aggfunc="max").sort_index()[order]


def _cycle(values: tuple[str, ...], wide: pd.DataFrame) -> list[str]:
    return [values[n % len(values)] for n in range(len(wide.columns))]


def spelled(unit: Unit, value: float | None) -> str:
    """A value in its unit's words.

    >>> spelled("share", 0.0731), spelled("evidence", 2e19), spelled("s", 0.4), spelled("rows", 69500)
    ('7.31 %', '2 × 10¹⁹', '400 ms', '69,500')
    """
    if unit == "share":
        return words.share(value)
    if unit == "evidence":
        return words.evidence(value)
    if unit in ("s", "ms"):
        return words.span(None if value is None else value * (1000 if unit == "s" else 1))
    return words.figure(value)


_DRAW: dict[Drawing, Callable[[Panel, pd.DataFrame], go.Figure]] = {
    "lines": _lines,
    "evidence": _evidence,
    "effect": _effect,
    "performance": _performance,
    "ages": _ages,
    "fan": _fan,
    "bars": _bars,
}
