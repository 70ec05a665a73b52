"""What a backtest says, as tables that a page or a terminal prints."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from drift.analysis.backtest import Backtest
from drift.reference.reference import Reference
from drift.reference.tolerances import column_tolerance
from streams.wire.records import Watch

_SEVERITIES = ("watch", "warning", "critical")
INCIDENTS = ["incident", "kind", "severity", "opened", "changed", "told", "paged", "closed", "columns", "text"]
COLUMNS = [
    "column",
    "statistic",
    "effect",
    "tolerance",
    "ratio",
    "window",
    "first_row",
    "last_row",
    "windows_drifted",
    "psi",
    "w1",
]


def ratios(reference: Reference, watch: Watch, reports: pd.DataFrame) -> pd.DataFrame:
    """Add to each window and column its statistic, tolerance, and the effect in tolerances (``ratio``).

    Parameters
    ----------
    reports
        A row per window and column, as a backtest gives them.
    """
    statistics = {cells.name: "ks" if cells.kind == "numeric" else "tvd" for cells in reference.columns}
    statistic = reports["column"].map(statistics)
    by_column = {cells.name: column_tolerance(watch, cells.name, statistics[cells.name]) for cells in reference.columns}
    tolerances = reports["column"].map(by_column)
    return reports.assign(statistic=statistic, tolerance=tolerances, ratio=reports["effect"] / tolerances)


def incidents(alerts: pd.DataFrame) -> pd.DataFrame:
    """A row per incident, in the order in which they opened.

    ``opened``, ``told`` (beyond the lists), ``paged`` and ``closed`` are windows, None where it did not come to that;
    ``changed`` (the change point) and ``text`` are as said when it paged, else when it was told, else when it opened.
    """
    rows = [_incident(str(name), events) for name, events in alerts.groupby("incident", sort=False)]
    return pd.DataFrame(rows, columns=INCIDENTS, dtype=object)  # None stays None: windows are no floats


def _incident(name: str, events: pd.DataFrame) -> dict[str, Any]:
    first, pages = events.iloc[0], events[events["page"].astype(bool)]
    closes = events[events["event"] == "close"]
    material = events[events["reach"] != "list"]
    headline = (pages if len(pages) else material if len(material) else events).iloc[0]
    return {
        "incident": name,
        "kind": first["kind"],
        "severity": max(events["severity"], key=_SEVERITIES.index),
        "opened": first["window"],
        "changed": headline["change_point"],
        "told": None if headline["reach"] == "list" and not headline["page"] else headline["window"],
        "paged": None if pages.empty else headline["window"],
        "closed": None if closes.empty else closes.iloc[0]["window"],
        "columns": list(dict.fromkeys(column for names in events["columns"] for column in names)),
        "text": headline["text"],
    }


def columns(reports: pd.DataFrame) -> pd.DataFrame:
    """A row per column at its worst window, the most moved first: what drifted, by its effect; then the rest.

    Parameters
    ----------
    reports
        With the columns that `ratios` adds.
    """
    if reports.empty:
        return pd.DataFrame(columns=COLUMNS)
    drifted = reports["drifted"].astype(bool)
    windows = drifted.groupby(reports["column"]).sum()
    # A single window's effect is noisy; where the judge has named a column, its worst window is one of those.
    ranked = reports.assign(_named=drifted).sort_values(["_named", "ratio"], ascending=False, kind="stable")
    worst = ranked.drop_duplicates("column")
    worst = worst.assign(windows_drifted=worst["column"].map(windows).astype(int))
    table: pd.DataFrame = worst[COLUMNS].reset_index(drop=True)
    return table


def performance(figures: pd.DataFrame, reference: Mapping[str, float]) -> pd.DataFrame:
    """A row per metric: on the training data, then the mean over the windows, estimated and realised."""
    if figures.empty:
        return pd.DataFrame(columns=["metric", "reference", "estimated", "realised", "coverage"])
    means = figures.groupby("metric", sort=False)[["estimated", "realised", "coverage"]].mean(numeric_only=False)
    table = means.astype(float).reset_index()
    table.insert(1, "reference", [reference.get(name, np.nan) for name in table["metric"]])
    return table


def sentence(result: Backtest, incidents: pd.DataFrame, rows: int) -> str:
    """Say what a person would have been told, to be read aloud.

    Parameters
    ----------
    incidents
        A row per incident; see `incidents`.
    rows
        Rows of the stream.
    """
    windows = result.reports["window"].nunique()
    if not rows:
        return "The stream holds no row: there is nothing to compare."
    over = f"{rows:,} rows in {windows:,} windows"
    paged = incidents[incidents["paged"].notna()]
    if len(paged):
        more = len(paged) - 1
        also = f" {more} more incident{'s' if more > 1 else ''} paged." if more else ""
        return f"{_stop(paged.iloc[0]['text'])}{also} Seen in {over}."
    told_incidents = incidents[incidents["told"].notna()]
    if len(told_incidents):
        return f"{_stop(told_incidents.iloc[0]['text'])} It would have been told, and paged nobody. Seen in {over}."
    if len(incidents):
        return f"Nothing would have been told. {_stop(incidents.iloc[0]['text'])} Seen in {over}."
    return f"Nothing moved: no incident in {over}."


def _stop(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
