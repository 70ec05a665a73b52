"""A bench as one HTML file, readable offline: what to choose, false alarms, delays, and how to run it again."""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from dashboards import theme
from drift.analysis.bench.contestants import ADWIN, CALIBRATED_PSI, CUSTOMARY_PSI, KS, OPENS, PAGE_HINKLEY, PAGES
from drift.analysis.bench.result import Bench
from drift.analysis.bench.streams import AFTER_MAX
from drift.analysis.bench.tables import delays, false_alarms
from drift.analysis.report import figures
from drift.analysis.report.summary import document

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Told apart by people who see few colours, too.
_COLOURS = {
    OPENS: theme.REFERENCE,
    PAGES: theme.SERIES[3],
    KS: theme.CURRENT,
    CALIBRATED_PSI: theme.SERIES[2],
    CUSTOMARY_PSI: "#8FC9B5",
    ADWIN: theme.CRITICAL,
    PAGE_HINKLEY: theme.WATCH,
}
_APART = 0.11


def page(bench: Bench, *, title: str, facts: Mapping[str, str]) -> str:
    """Write a bench as HTML.

    Parameters
    ----------
    title
        What was benched, in a few words.
    facts
        What is needed to run it again.
    """
    every = f"{bench.plan.false_alarm_every:,.0f}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="sentence">{escape(bench.sentence)}</p>',
        "<h2>False alarms on streams without drift</h2>",
        figures.html(quiet_figure(bench), first=True),
        _table(false_alarms(bench.quiet, bench.plan.false_alarm_every)),
        f'<p class="small">Windows between false alarms, with the exact 95 % interval; dotted: the {every} that were '
        "asked for. Left of it is too often.</p>",
        "<h2>Windows from a change of one column to the alarm</h2>",
        figures.html(delay_figure(bench), first=False),
        _table(delays(bench)),
        f'<p class="small">Median over {bench.plan.runs} streams, bars from the 10th to the 90th percentile; at the '
        "right edge, or -: not within the windows that were run. Hollow, or !: alarms for nothing too often, so its "
        "delays are worth little.</p>",
        "<h2>To run it again</h2>",
        "<table>"
        + "".join(f"<tr><td>{escape(k)}<td><code>{escape(v)}</code></tr>" for k, v in facts.items())
        + "</table>",
    ]
    return document(title, parts)


def quiet_figure(bench: Bench) -> "go.Figure":
    """Windows between false alarms, contestant by contestant."""
    figure = figures.blank(30 * len(bench.quiet) + 60)
    names = [q.contestant for q in bench.quiet][::-1]
    most = max(10 * bench.plan.false_alarm_every, 10.0)
    for q in bench.quiet:
        low, high = 1 / q.high, min(most, 1 / q.low) if q.low else most
        line = {"color": _COLOURS[q.contestant], "width": 3}
        figure.add_scatter(x=[low, high], y=[q.contestant] * 2, mode="lines", line=line, showlegend=False)
        if q.alarms:
            dot = {"color": _COLOURS[q.contestant], "size": 10}
            figure.add_scatter(x=[q.windows / q.alarms], y=[q.contestant], mode="markers", marker=dot, showlegend=False)
    figure.add_vline(x=bench.plan.false_alarm_every, line={"color": "#57606A", "width": 1.5, "dash": "dot"})
    figure.update_xaxes(type="log", title={"text": "windows between false alarms", "standoff": 4})
    return figure.update_yaxes(categoryorder="array", categoryarray=names)


def delay_figure(bench: Bench) -> "go.Figure":
    """Delays, shift by shift, the contestants side by side."""
    shifts = bench.shifts[::-1]
    figure = figures.blank(84 * len(shifts) + 70)
    edge = AFTER_MAX + bench.plan.gradual + 10
    for rank, name in enumerate(q.contestant for q in bench.quiet):
        rows = [bench.delay(shift, name) for shift in shifts]
        middle = [row.median or edge for row in rows]
        figure.add_scatter(
            x=middle,
            y=[k + _APART * (len(bench.quiet) / 2 - rank) for k in range(len(shifts))],
            name=name,
            mode="markers",
            marker={
                "color": _COLOURS[name],
                "size": 9,
                "symbol": "circle" if name in (*bench.keeping, PAGES) else "circle-open",
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [(row.high or edge) - m for row, m in zip(rows, middle, strict=True)],
                "arrayminus": [m - (row.low or edge) for row, m in zip(rows, middle, strict=True)],
                "thickness": 1.2,
                "width": 0,
            },
        )
    figure.update_xaxes(type="log", title={"text": "windows to the alarm", "standoff": 4})
    figure.update_yaxes(tickvals=list(range(len(shifts))), ticktext=shifts)
    return figure.update_layout(showlegend=True)


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    cells = "".join(f"<th{' class=n' if k else ''}>{escape(name)}" for k, name in enumerate(head))
    lines = ("".join(f"<td{' class=n' if k else ''}>{escape(c)}" for k, c in enumerate(row)) for row in body)
    return f"<table><tr>{cells}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
