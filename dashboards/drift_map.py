"""The drift map's shades and order of columns, for the page and for reports.

Grey is within the tolerance, orange to vermilion where a column has drifted.
"""

import pandas as pd

from dashboards.theme import CRITICAL, CURRENT, FINE, washed

#: Rows that a reader still takes in; the most moved stand on top.
ROWS_MAX = 24
#: A shade is the effect in tolerances, up to this one.
SHADE_MAX = 3.0
SCALE = [
    [0.0, washed(FINE, 0.10)],
    [0.333, washed(FINE, 0.36)],
    [0.334, washed(CURRENT, 0.6)],
    [0.6, washed(CURRENT, 1.0)],
    [1.0, washed(CRITICAL, 1.0)],
]


def shades(frame: pd.DataFrame) -> "pd.Series[float]":
    """Shade of each cell, by its ``ratio`` of effect to tolerance, and by whether it has ``drifted``.

    A small sample's effect may pass the tolerance by chance: without the judge's verdict it stays grey.

    >>> shades(pd.DataFrame({"ratio": [0.2, 2.0, 2.0], "drifted": [False, False, True]})).tolist()
    [0.2, 0.99, 2.0]
    """
    ratio = frame["ratio"].astype(float)
    return ratio.where(frame["drifted"].astype(bool), ratio.clip(upper=0.99))


def order(frame: pd.DataFrame) -> list[str]:
    """Columns, the most moved first: what drifted, by its largest effect; then the rest by theirs."""
    by_column = frame.assign(drifted=frame["drifted"].astype(bool)).groupby("column")[["drifted", "ratio"]].max()
    return [str(name) for name in by_column.sort_values(["drifted", "ratio"], ascending=False).index]


def grid(frame: pd.DataFrame, names: list[str], moment: str) -> pd.DataFrame:
    """Shades by column and time.

    Parameters
    ----------
    frame
        A row a column and time, with ``column``, ``ratio`` and ``drifted``.
    names
        The columns that are shown, in this order.
    moment
        Name of the frame's column of times.
    """
    shown = frame[frame["column"].isin(names)]
    shaded = shown.assign(shade=shades(shown))
    return shaded.pivot_table(index="column", columns=moment, values="shade").reindex(names)
