"""One function a drawing kind: a panel and its frame in, a figure out.

Times in the frames are UTC instants; charts show them in the reader's zone.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo

import msgspec
import pandas as pd
import plotly.graph_objects as go

from dashboards import words
from dashboards.page import look
from dashboards.panels import Panel, Unit

#: Rows of a drift map, and bars of a comparison, that a reader still takes in.
MAP_ROWS_MAX = 24
BARS_MAX = 14
_EVIDENCE_MIN = 0.1
_STEP_PX = 26


class Mark(msgspec.Struct, frozen=True):
    """An incident on a chart: what it names, since when, until when (None while open)."""

    incident: str
    columns: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp | None
    severity: str


class Canvas(msgspec.Struct, frozen=True):
    """What charts of one page share: the reader's zone, the range, the incidents, and where columns lead."""

    zone: tzinfo
    start: pd.Timestamp
    end: pd.Timestamp
    marks: tuple[Mark, ...] = ()
    link: Callable[[str], str] = str

    def local(self, times: "pd.Series[pd.Timestamp]") -> "pd.Series[pd.Timestamp]":
        """Instants as the wall clock of the reader's zone."""
        return pd.to_datetime(times, utc=True).dt.tz_convert(self.zone).dt.tz_localize(None)

    def moment(self, time: pd.Timestamp) -> pd.Timestamp:
        """One instant as the reader's wall clock."""
        return time.tz_convert(self.zone).tz_localize(None)


def draw(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:
    """Draw a panel."""
    frame = frame.copy()
    if "time" in frame:
        frame["time"] = canvas.local(frame["time"])
    figure: go.Figure = _DRAW[panel.drawing](panel, frame, canvas)
    figure.update_layout(template=look.TEMPLATE, height=panel.height or figure.layout.height, uirevision=panel.name)
    if "time" in frame and panel.drawing != "map":
        figure.update_xaxes(range=[canvas.moment(canvas.start), canvas.moment(canvas.end)])
        _mark(figure, canvas.marks, canvas)
    return figure


def _map(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:
    """Columns x time. Grey below the tolerance, orange to vermilion where a column has drifted."""
    worst = frame.assign(seen=frame["ratio"].where(frame["drifted"].astype(bool), frame["ratio"] / 1000))
    order = worst.groupby("column")["seen"].max().sort_values(ascending=False).index[:MAP_ROWS_MAX]
    shown = frame[frame["column"].isin(order)]
    shade = shown["ratio"].where(shown["drifted"].astype(bool), shown["ratio"].clip(upper=0.99))
    grid = shown.assign(shade=shade).pivot_table(index="column", columns="time", values="shade").reindex(order[::-1])
    texts = shown.assign(text=[_map_text(row) for row in shown.to_dict("records")])
    text = texts.pivot_table(index="column", columns="time", values="text", aggfunc="first").reindex(order[::-1])
    figure = go.Figure(
        go.Heatmap(
            x=grid.columns,
            y=list(grid.index),
            z=grid.to_numpy(),
            text=text.to_numpy(),
            hoverinfo="text",
            zmin=0,
            zmax=3,
            xgap=1,
            ygap=3,
            showscale=False,
            hoverongaps=False,
            colorscale=_SHADES,
        )
    )
    figure.update_layout(height=_STEP_PX * len(order) + 34, hovermode="closest", meta={"columns": list(grid.index)})
    names = list(grid.index)
    figure.update_yaxes(
        showgrid=False,
        tickmode="array",
        tickvals=names,
        ticktext=[f'<a href="{canvas.link(name)}" target="_self">{_short(name)}</a>' for name in names],
    )
    half = (grid.columns[1] - grid.columns[0]) / 2 if len(grid.columns) > 1 else pd.Timedelta(30, "s")
    for mark in canvas.marks:
        rows = [names.index(name) for name in mark.columns if name in names]
        end = canvas.moment(mark.end or canvas.end)
        for row in rows:
            figure.add_shape(
                type="rect",
                x0=canvas.moment(mark.start) - half,
                x1=end + half,
                y0=row - 0.5,
                y1=row + 0.5,
                line={"color": look.SEVERITIES.get(mark.severity, look.WATCH), "width": 2},
                fillcolor="rgba(0,0,0,0)",
            )
    return figure


_SHADES = [
    [0.0, look.washed(look.FINE, 0.10)],
    [0.33, look.washed(look.FINE, 0.38)],
    [0.3301, look.washed(look.CURRENT, 0.55)],
    [0.66, look.washed(look.CURRENT, 1.0)],
    [1.0, look.washed(look.CRITICAL, 1.0)],
]


def _map_text(row: dict[str, object]) -> str:
    size = f"{str(row['statistic']).upper()} {words.figure(row['effect'])}"  # type: ignore[arg-type]
    ratio = f"{words.figure(row['ratio'])} of the tolerance {words.figure(row['tolerance'])}"  # type: ignore[arg-type]
    verdict = "<b>drifted</b>" if row["drifted"] else "not drifted"
    return f"<b>{row['column']}</b>  {row['time']:%b %-d, %H:%M}<br>{size}, {ratio}<br>{verdict}, n {row['n']:,}"


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _line(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:  # noqa: ARG001
    time, series, value = panel.columns[:3]
    figure = go.Figure()
    wide = frame.pivot_table(index=time, columns=series, values=value, aggfunc="max").sort_index()
    budget = wide.pop("budget") if "budget" in wide else None
    for name, colour in zip(_by_size(wide), _cycle(len(wide.columns)), strict=True):
        values = wide[name].clip(lower=_EVIDENCE_MIN) if panel.log else wide[name]
        figure.add_scatter(
            x=wide.index,
            y=values,
            name=str(name),
            mode="lines",
            line={"color": colour, "width": 2},
            hovertemplate="%{customdata}",
            customdata=[said(panel.unit, v) for v in wide[name]],
        )
    if budget is not None and len(budget.dropna()):
        _limit(figure, float(budget.dropna().iloc[-1]), "budget")
    if panel.log:
        top = max(filter(pd.notna, [*wide.max(), budget.max() if budget is not None else 1.0]), default=10.0)
        figure.update_yaxes(type="log", range=[-1, len(f"{top:.0f}") + 0.3], tickformat="", exponentformat="power")
    else:
        figure.update_yaxes(rangemode="tozero", tickformat=".2~%" if panel.unit == "share" else "~s")
    figure.update_layout(showlegend=len(wide.columns) > 1)
    return figure


def _band(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:
    return _performance(panel, frame) if "realised" in frame else _effect(panel, frame, canvas)


def _effect(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:  # noqa: ARG001
    figure = go.Figure()
    _wash(figure, frame["time"], frame["low"], frame["high"], look.CURRENT)
    figure.add_scatter(
        x=frame["time"],
        y=frame["effect"],
        name="effect",
        mode="lines",
        line={"color": look.CURRENT, "width": 2},
        customdata=[
            f"{row.statistic.upper()} {words.figure(row.effect)} [{words.figure(row.low)}, {words.figure(row.high)}], "
            f"n {row.n:,}, evidence {words.evidence(row.evidence)}"
            for row in frame.itertuples()
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    tolerance = frame["tolerance"].dropna()
    if len(tolerance):
        _limit(figure, float(tolerance.iloc[-1]), "tolerance")
    figure.update_layout(showlegend=False)
    figure.update_yaxes(rangemode="tozero")
    return figure


def _performance(panel: Panel, frame: pd.DataFrame) -> go.Figure:  # noqa: ARG001
    figure = go.Figure()
    known = frame.dropna(subset=["realised"])
    _wash(figure, known["time"], known["low"], known["high"], look.CURRENT)
    figure.add_scatter(
        x=frame["time"],
        y=frame["estimated"],
        name="estimated",
        mode="lines",
        line={"color": look.FINE, "width": 2, "dash": "dot"},
        hovertemplate="%{y:.3f}",
    )
    figure.add_scatter(
        x=known["time"],
        y=known["realised"],
        name="realised",
        mode="lines",
        line={"color": look.CURRENT, "width": 2},
        customdata=[
            f"{words.figure(row.realised)} [{words.figure(row.low)}, {words.figure(row.high)}], "
            f"labels cover {words.share(row.coverage)}"
            for row in known.itertuples()
        ],
        hovertemplate="%{customdata}",
    )
    reference = frame["reference"].dropna()
    if len(reference):
        _limit(figure, float(reference.iloc[-1]), "reference", look.REFERENCE)
    figure.update_yaxes(tickformat=".3~f")
    return figure


def _fan(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:  # noqa: ARG001
    figure = go.Figure()
    _wash(figure, frame["time"], frame["p05"], frame["p95"], look.CURRENT, 0.14)
    _wash(figure, frame["time"], frame["p25"], frame["p75"], look.CURRENT, 0.26)
    figure.add_scatter(
        x=frame["time"],
        y=frame["p50"],
        name="median",
        mode="lines",
        line={"color": look.CURRENT, "width": 2},
        customdata=[
            f"median {words.figure(row.p50)}, half within {words.figure(row.p25)} to {words.figure(row.p75)}, "
            f"nine in ten within {words.figure(row.p05)} to {words.figure(row.p95)}"
            for row in frame.itertuples()
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.update_layout(showlegend=False)
    return figure


def _bars(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:  # noqa: ARG001
    """Two bars a cell, largest difference on top."""
    shown = frame.reindex(frame["difference"].abs().sort_values(ascending=False).index)[:BARS_MAX][::-1]
    cells = [_short(str(cell)) for cell in shown["cell"]]
    figure = go.Figure()
    for name, colour in (("current", look.CURRENT), ("reference", look.REFERENCE)):
        figure.add_bar(
            y=cells,
            x=shown[name],
            name=name,
            orientation="h",
            marker={"color": colour, "cornerradius": 3},
            text=[words.share(value) for value in shown[name]],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{text}",
        )
    figure.update_layout(
        barmode="group",
        bargap=0.34,
        bargroupgap=0.08,
        height=44 * len(cells) + 40,
        hovermode="y unified",
        legend={"traceorder": "reversed"},
    )
    top = float(shown[["reference", "current"]].max().max() or 1.0) if len(shown) else 1.0
    figure.update_xaxes(showgrid=False, showticklabels=False, range=[0, top * 1.18])
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def _steps(panel: Panel, frame: pd.DataFrame, canvas: Canvas) -> go.Figure:  # noqa: ARG001
    time, series, value = panel.columns[:3]
    wide = frame.pivot_table(index=time, columns=series, values=value, aggfunc="sum").fillna(0).sort_index()
    figure = go.Figure()
    for name, colour in zip(_by_size(wide), _cycle(len(wide.columns)), strict=True):
        figure.add_scatter(
            x=wide.index,
            y=wide[name],
            name=str(name),
            stackgroup="all",
            mode="lines",
            line={"color": colour, "width": 1.5, "shape": "hv"},
            fillcolor=look.washed(colour, 0.25),
            hovertemplate="%{y:,} " + panel.unit,
        )
    figure.update_yaxes(rangemode="tozero", tickformat="~s")
    figure.update_layout(showlegend=len(wide.columns) > 1)
    return figure


def _wash(
    figure: go.Figure,
    time: "pd.Series[pd.Timestamp]",
    low: "pd.Series[float]",
    high: "pd.Series[float]",
    colour: str,
    alpha: float = 0.2,
) -> None:
    """Fill between two lines."""
    quiet = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=time, y=low, **quiet)
    figure.add_scatter(x=time, y=high, fill="tonexty", fillcolor=look.washed(colour, alpha), **quiet)


def _limit(figure: go.Figure, value: float, name: str, colour: str = look.CRITICAL) -> None:
    """Draw a line that means something, and name it."""
    figure.add_hline(
        y=value,
        line={"color": colour, "width": 1.5, "dash": "dash"},
        annotation={"text": name, "font": {"color": colour, "size": 11}, "xanchor": "left", "x": 0, "yshift": 1},
        annotation_position="top left",
    )


def _mark(figure: go.Figure, marks: Sequence[Mark], canvas: Canvas) -> None:
    for mark in marks:
        if canvas.start <= mark.start <= canvas.end:
            colour = look.SEVERITIES.get(mark.severity, look.WATCH)
            figure.add_vline(x=canvas.moment(mark.start), line={"color": colour, "width": 1.5, "dash": "dot"})


def _by_size(wide: pd.DataFrame) -> list[str]:
    return list(wide.sum().sort_values(ascending=False).index)


def _cycle(count: int) -> list[str]:
    return [look.SERIES[i % len(look.SERIES)] for i in range(count)]


def said(unit: Unit, value: float | None) -> str:
    """A value in its unit's words.

    >>> said("share", 0.0731), said("evidence", 2e19), said("s", 0.4), said("rows", 69500)
    ('7.31 %', '2 × 10¹⁹', '400 ms', '69,500')
    """
    if unit == "share":
        return words.share(value)
    if unit == "evidence":
        return words.evidence(value)
    if unit in ("s", "ms"):
        return words.span(None if value is None else value * (1000 if unit == "s" else 1))
    return words.figure(value)


_DRAW: dict[str, Callable[[Panel, pd.DataFrame, Canvas], go.Figure]] = {
    "map": _map,
    "line": _line,
    "band": _band,
    "fan": _fan,
    "bars": _bars,
    "steps": _steps,
}
