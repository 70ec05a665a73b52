"""A backtest in a few lines, its incidents first: what a notebook shows of it."""

import textwrap
from typing import Any

import pandas as pd

#: Incidents and metrics that are shown, and characters of a line.
_INCIDENTS_MAX, _METRICS_MAX, _WIDTH = 6, 3, 118


def summary(reports: pd.DataFrame, performance: pd.DataFrame, alerts: pd.DataFrame) -> str:
    """Say what a backtest found.

    Parameters
    ----------
    reports, performance, alerts
        The tables of a `drift.analysis.backtest.Backtest`.

    >>> import pandas as pd, drift
    >>> ref = drift.Reference.fit(pd.DataFrame({"city": ["Rome", "Oslo"] * 500}))
    >>> print(drift.backtest(ref, pd.DataFrame({"city": ["Rome"] * 1000})))
    Backtest of 2 windows, 1,000 rows: 1 incident, 1 still open, 0 pages
      backtest-1, window 0, watch, open: city moved: level Oslo fell from 50 % in the reference data to 0 % since the
        first row
      tables: reports (2 rows), performance (0), alerts (1)
    """
    windows = reports.window.nunique()
    rows = int(reports.last_row.max()) + 1 if len(reports) else 0
    number, closed = alerts.incident.nunique(), set(alerts.incident[alerts.event == "close"])
    lines = [
        f"Backtest of {_some(windows, 'window')}, {_some(rows, 'row')}: {_some(number, 'incident')}, "
        f"{number - len(closed):,} still open, {_some(int(alerts.page.sum()), 'page')}"
    ]
    headlines = alerts[alerts.event != "close"].groupby("incident", sort=False).last()
    for alert in headlines.head(_INCIDENTS_MAX).itertuples():
        state = "closed" if alert.Index in closed else "open"
        lines += _lines(f"{alert.Index}, window {alert.window}, {alert.severity}, {state}: {alert.text}")
    if len(headlines) > _INCIDENTS_MAX:
        lines.append(f"  {len(headlines) - _INCIDENTS_MAX:,} more in .alerts")
    for metric in performance.metric.unique()[:_METRICS_MAX]:
        lines += _lines(_metric(performance, metric))
    sizes = f"reports ({_some(len(reports), 'row')}), performance ({len(performance):,}), alerts ({len(alerts):,})"
    return "\n".join([*lines, f"  tables: {sizes}"])


def _metric(performance: pd.DataFrame, metric: str) -> str:
    """A metric over all windows: as measured with labels, else as estimated without."""
    of = performance[performance.metric == metric]
    what, values = "realised", of.realised.dropna()
    if values.empty:
        what, values = "estimated", of.estimated.dropna()
    if values.empty:
        return f"{metric}: unknown"
    return f"{metric}, {what}: {values.min():.3g} to {values.max():.3g}, {values.iloc[-1]:.3g} in the last window"


def _some(number: Any, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, max_lines=3, placeholder=" ...", initial_indent="  ", subsequent_indent="    ")
