"""The statistics of a column in a window: a row each. Reports, the store and backtests take their names from here.

A new one is a function in a file of its own, a row here, and a field of `streams.wire.records.ColumnReport`, which
`tests/drift/test_column_table.py` asks for. On the page distances stand together without more.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np

from drift.statistics.column_counts import Compared
from drift.statistics.divergences import psi_bias_of_columns, psi_of_columns
from drift.statistics.mean import mean_of_columns
from drift.statistics.w1 import w1_of_columns


class ColumnStatistic(msgspec.Struct, frozen=True):
    """A statistic of a column.

    Attributes
    ----------
    name
        On the wire, in the store and in backtests.
    unit
        What 1 is.
    shown
        How people see it: beside other distances, with the rates, or by itself.
    of
        Computes it of many columns at once, [columns]; None where a column has no such value.
    sort
        The columns that have it.
    in_backtest
        Whether it is a column of a backtest's reports.
    """

    name: str
    unit: str
    shown: Literal["distance", "rate", "value"]
    of: Callable[[Compared], np.ndarray | Sequence[float | None]]
    sort: Literal["numeric", "levels", "all"] = "all"
    in_backtest: bool = True


COLUMN_STATISTICS: tuple[ColumnStatistic, ...] = (
    ColumnStatistic("ks", "all rows", "distance", lambda compared: compared.effects.raw, "numeric"),
    ColumnStatistic("w1", "robust spread of the reference", "distance", w1_of_columns, "numeric"),
    ColumnStatistic("psi", "nat", "distance", psi_of_columns),
    ColumnStatistic("psi_bias", "nat", "distance", psi_bias_of_columns, in_backtest=False),
    ColumnStatistic("tvd", "all rows", "distance", lambda compared: compared.effects.raw, "levels"),
    ColumnStatistic("mean", "the column's own", "value", mean_of_columns, "numeric", in_backtest=False),
    ColumnStatistic("null_rate", "all rows", "rate", lambda c: c.shares(c.columns.null)),
    ColumnStatistic("unseen_rate", "all rows", "rate", lambda c: c.shares(c.columns.unseen)),
    ColumnStatistic("out_of_range_rate", "all rows", "rate", lambda c: c.shares(c.columns.out_of_range), "all", False),
)
NAMES = tuple(statistic.name for statistic in COLUMN_STATISTICS)


def values(compared: Compared, sort: Literal["numeric", "levels"]) -> list[dict[str, float | None]]:
    """Compute every statistic: one dictionary a column, by name, None for what the sort does not have.

    Parameters
    ----------
    compared
        A window beside a reference's columns.
    sort
        Which columns these are.
    """
    computed = [
        _listed(statistic.of(compared)) if statistic.sort in ("all", sort) else [None] * len(compared.rows)
        for statistic in COLUMN_STATISTICS
    ]
    return [dict(zip(NAMES, row, strict=True)) for row in zip(*computed, strict=True)]


def _listed(column: np.ndarray | Sequence[float | None]) -> Sequence[float | None]:
    numbers: Sequence[float | None] = column.tolist() if isinstance(column, np.ndarray) else column
    return numbers
