"""Our own summary of a backtest: one HTML file, readable offline, two pages on paper."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dashboards.theme import CRITICAL
from drift.analysis.backtest import Backtest
from drift.analysis.report import tables
from drift.counting.stage import count_rows
from drift.reference.reference import Reference
from streams.wire.records import Watch

#: Columns that are drawn, and incidents that are listed.
_DRAWN, _LISTED_MAX = 3, 12

_STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #1F2328; max-width: 700px; margin: 32px auto; padding: 0 16px; }
h1 { font-size: 15px; font-weight: 600; color: #57606A; margin: 0 0 4px; }
h2 { font-size: 13px; font-weight: 600; margin: 26px 0 6px; }
h3 { font-size: 13px; font-weight: 600; margin: 0; }
.sentence { font-size: 20px; line-height: 1.35; margin: 0; }
.small, figcaption { color: #57606A; font-size: 12px; margin: 2px 0 0; }
table { border-collapse: collapse; width: 100%; font-size: 12px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: #57606A; font-weight: 500; } td { vertical-align: top; }
th, td { padding: 4px 10px 4px 0; border-bottom: 1px solid #E8EAED; }
td.n, th.n { text-align: right; }
td:not(:last-child) { white-space: nowrap; } td code { font-size: 11px; overflow-wrap: anywhere; }
.three { display: flex; flex-wrap: wrap; gap: 11px; } .three figure { width: 226px; } figure { margin: 0; }
.page { color: CRITICAL; font-weight: 600; }
section { break-inside: avoid; }
@page { size: A4; margin: 14mm 12mm; }
@media print { body { margin: 0 auto; padding: 0; zoom: 0.86; } .turn { break-before: page; } }
""".replace("CRITICAL", CRITICAL)


def summary(
    reference: Reference,
    result: Backtest,
    stream: pa.Table,
    *,
    watch: Watch,
    title: str,
    facts: Mapping[str, str],
) -> str:
    """Write the summary of a backtest as HTML.

    Parameters
    ----------
    reference, result
        What the rows were compared with, and what came of it.
    stream
        The rows, in the order of ``first_row`` and ``last_row``.
    watch
        Settings under which it ran.
    title
        What was run, in a few words.
    facts
        What is needed to run it again: files, their hashes, settings.
    """
    from drift.analysis.report import figures

    reports = tables.ratios(reference, watch, result.reports)
    incidents, moved = tables.incidents(result.alerts), tables.columns(reports)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="sentence">{escape(tables.sentence(result, incidents, stream.num_rows))}</p>',
        _section(
            "What moved, and when",
            figures.html(figures.drift_map(reports, list(moved["column"]), incidents), first=True),
            "Effect in tolerances by window, the most moved column on top. Grey: within the tolerance, or too few rows "
            "to say. Dotted: an incident opens.",
        ),
        _section("Incidents", _incidents(incidents)),
        _section(
            f"The {_DRAWN} columns that moved most",
            f'<div class="three">{"".join(_drawn(reference, row, stream) for row in _worst(moved))}</div>',
            "Blue: the reference. Orange: the stream, in the window in which the column was furthest off.",
            landscape=True,
        ),
    ]
    if not result.performance.empty:
        parts.append(_performance(reference, result.performance))
    parts.append(_section("To run it again", _facts(facts)))
    return document(title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """Parts of HTML, one below the other, as a page that needs no other file."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>\n"
    )


def _section(title: str, body: str, caption: str = "", *, landscape: bool = False) -> str:
    small_print = f'<p class="small">{escape(caption)}</p>' if caption else ""
    return f"<section{' class=turn' if landscape else ''}><h2>{escape(title)}</h2>{body}{small_print}</section>"


def _incidents(incidents: pd.DataFrame) -> str:
    if incidents.empty:
        return '<p class="small">None.</p>'
    head = "<tr><th>incident<th>opened<th>changed at<th>paged<th>closed<th>columns and what was said</tr>"
    rows = []
    for row in incidents.head(_LISTED_MAX).to_dict("records"):
        paged = f'<span class="page">{_when(row["paged"])}</span>' if _there(row["paged"]) else "no"
        if not _there(row["paged"]) and _there(row["told"]):
            paged = f"told {_when(row['told'])}"
        details = f"<b>{escape(', '.join(row['columns'][:8]))}</b><br>{escape(row['text'])}"
        closed = _when(row["closed"]) if _there(row["closed"]) else "open"
        rows.append(
            f"<tr><td>{escape(row['incident'])}<br>{row['severity']}<td>{_when(row['opened'])}<td>{_place(row['changed'])}"
            f"<td>{paged}<td>{closed}<td>{details}</tr>"
        )
    left = len(incidents) - _LISTED_MAX
    more = f'<p class="small">and {left} more</p>' if left > 0 else ""
    return f"<table>{head}{''.join(rows)}</table>{more}"


def _worst(moved: pd.DataFrame) -> list[dict[Any, Any]]:
    return moved.head(_DRAWN).to_dict("records")


def _drawn(reference: Reference, row: dict[Any, Any], stream: pa.Table) -> str:
    from drift.analysis.report import figures

    name = row["column"]
    rows = stream.slice(row["first_row"], row["last_row"] - row["first_row"] + 1)
    counts = reference.of(name, count_rows(reference, reference.align(rows)))
    figure = figures.html(figures.before_and_now(reference, name, counts), first=False)
    size = f"{row['statistic'].upper()} {row['effect']:.3f}, tolerance {row['tolerance']:g}"
    when = f"window {_when(row['window'])}; drifted in {row['windows_drifted']:,} windows"
    return f"<figure><h3>{escape(name)}</h3>{figure}<figcaption>{size}<br>{when}</figcaption></figure>"


def _performance(reference: Reference, metrics: pd.DataFrame) -> str:
    from drift.analysis.report import figures

    table = tables.performance(metrics, reference.expected_performance)
    shown = next((name for name in ("auc", "accuracy", "mae") if name in set(table["metric"])), table["metric"].iloc[0])
    figure = figures.html(
        figures.metric_over_time(metrics, shown, reference.expected_performance.get(shown)), first=False
    )
    rows = "".join(
        f"<tr><td>{escape(row['metric'])}"
        + "".join(f'<td class="n">{_number(row[name])}' for name in ("reference", "estimated", "realised"))
        + f'<td class="n">{_percent(row["coverage"])}</tr>'
        for row in table.to_dict("records")
    )
    names = ("reference", "estimated, mean", "realised, mean", "labels")
    head = "<tr><th>metric" + "".join(f'<th class="n">{name}' for name in names)
    caption = f"{shown} by window. Estimated needs no labels and cannot see a changed relation of inputs and labels."
    if reference.unjudged:
        caption = f"{shown} by window. Note: {reference.unjudged}."
    return _section("Performance", f"{figure}<table>{head}</tr>{rows}</table>", caption)


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}<td><code>{escape(value)}</code></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def _there(value: Any) -> bool:
    return value is not None and value is not pd.NaT


def _when(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{int(value):,}"


def _place(value: Any) -> str:
    return _when(value) if isinstance(value, pd.Timestamp) else f"row {_when(value)}"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3g}"


def _percent(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.3g} %"
