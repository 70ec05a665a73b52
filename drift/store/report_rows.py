"""A window's report as rows: one per column and statistic, so that a panel selects and never unpacks."""

from collections.abc import Iterator, Sequence
from typing import Any

from drift.statistics import column_table
from drift.store.rows import Rows
from streams.wire.records import ColumnReport, MetricReport, Report

_OF_COLUMN = (*column_table.NAMES, "evidence")
_OF_METRIC = ("estimated", "coverage", "reference", "outside")
_OF_WINDOW = ("rows", "late_rows", "evidence", "budget")
_BLANK: dict[str, Any] = {
    "low": None,
    "high": None,
    "tolerance": None,
    "n": 0,
    "drifted": False,
    "kind": "",
    "unit": "",
}


def of_reports(reports: Sequence[Report]) -> Rows:
    """Reports, long.

    ============  =====================  =============================================================
    role          column                 statistic
    ============  =====================  =============================================================
    feature,      the column's name      ``effect`` with interval and tolerance; those of
    prediction                           `drift.statistics.column_table`; evidence
    performance   the metric's name      ``realised``, ``powered``; estimated, reference, coverage, outside
    window        (empty)                rows, late_rows, evidence, budget; partial, learning where they are
    ============  =====================  =============================================================

    A statistic that a column does not have has no row. ``n`` is the rows that a value is from: of a realised figure
    those with a label, of a reference's figure 0, for they are not the window's. ``tolerance`` of performance is a
    share of the reference's loss. ``unit`` of an effect is the
    statistic that it is measured in (ks or tvd), else empty.
    """
    rows = [row for report in reports for row in _rows(report)]
    names = rows[0] if rows else ()
    return Rows("report_rows", {name: [row[name] for row in rows] for name in names})


def _rows(report: Report) -> Iterator[dict[str, Any]]:
    window = {
        "model": report.model,
        "version": report.version,
        "segment": report.segment,
        "window_start": report.window_start,
        "window_end": report.window_end,
        "revision": report.revision,
        "reference": report.reference,
    }
    metrics = (_metric(metric, report.rows) for metric in report.performance)
    parts = (_window(report), *map(_column, report.columns), *metrics)
    for part in parts:
        for row in part:
            yield window | _BLANK | row


def _window(report: Report) -> Iterator[dict[str, Any]]:
    for name in _OF_WINDOW:
        yield {"role": "window", "column": "", "statistic": name, "value": getattr(report, name), "n": report.rows}
    for name in ("partial", "learning"):
        if value := getattr(report, name):
            yield {"role": "window", "column": "", "statistic": name, "value": float(value), "n": report.rows}


def _column(column: ColumnReport) -> Iterator[dict[str, Any]]:
    same = {
        "role": column.role,
        "column": column.name,
        "kind": column.kind,
        "n": column.n,
        "drifted": column.drifted,
        "tolerance": column.tolerance,
    }
    yield same | {
        "statistic": "effect",
        "unit": column.statistic,
        "value": column.effect,
        "low": column.effect_low,
        "high": column.effect_high,
    }
    for name in _OF_COLUMN:
        if (value := getattr(column, name)) is not None:
            yield same | {"statistic": name, "value": value}


def _metric(metric: MetricReport, rows: int) -> Iterator[dict[str, Any]]:
    same = {"role": "performance", "column": metric.metric, "n": rows, "tolerance": metric.tolerance}
    if metric.realised is not None:
        ends = {"low": metric.low, "high": metric.high}
        labelled = round(metric.coverage * rows)
        yield same | ends | {"statistic": "realised", "value": metric.realised, "n": labelled}
    if metric.powered is not None:
        ends = {"low": metric.powered_low, "high": metric.powered_high}
        yield same | ends | {"statistic": "powered", "value": metric.powered}
    for name in _OF_METRIC:
        if (value := getattr(metric, name)) is not None:
            yield same | {"statistic": name, "value": value} | ({"n": 0} if name == "reference" else {})
