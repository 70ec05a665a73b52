"""Naming: how the budget of false alarms is shared, and which columns an alarm names."""

from collections.abc import Mapping, Sequence

import numpy as np

from drift.cells import Cells


def shares(columns: Sequence[Cells], budget: Mapping[str, float], aside: float = 0.0) -> np.ndarray:
    """Share of the budget of each column, float64 [columns], summing to 1 less what is set aside.

    The budget's shares by kind, over the kinds that there are; inside a kind all columns alike. ``aside`` is the share
    of kinds that are no columns'.

    >>> two = [Cells(name="age"), Cells(name="income"), Cells(name="score", role="prediction")]
    >>> shares(two, {"feature": 0.15, "prediction": 0.25}).round(4).tolist()
    [0.1875, 0.1875, 0.625]
    """
    roles = [cells.role for cells in columns]
    weight = np.array([budget.get(role, 0.0) / roles.count(role) for role in roles])
    if not weight.sum():
        return np.full(len(roles), (1 - aside) / len(roles))
    share: np.ndarray = weight / weight.sum() * (1 - aside)
    return share


def performance_share(columns: Sequence[Cells], budget: Mapping[str, float]) -> float:
    """Share of the budget for performance, where there are labels to judge it by: of the kinds that there are.

    >>> round(performance_share([Cells(name="age")], {"feature": 0.15, "prediction": 0.25, "performance": 0.5}), 4)
    0.7692
    """
    kinds = {"performance", *(cells.role for cells in columns)}
    total = sum(budget.get(kind, 0.0) for kind in kinds)
    return budget.get("performance", 0.0) / total if total else 0.0


def alarming(weighted: np.ndarray, log_budget: float) -> bool:
    """Whether the evidence of some columns together has spent the budget; see `named` for ``weighted``."""
    return bool(np.logaddexp.reduce(weighted) >= log_budget)


def named(weighted: np.ndarray, log_budget: float, known: Sequence[int], least: int = 0) -> list[int]:
    """Columns that have changed, largest evidence first (e-BH: Wang and Ramdas, 2022).

    The column of rank ``k`` among the new ones is named if its weighted evidence reaches the budget divided by ``k``
    plus the number of columns that are named already; and with it those above it.

    Parameters
    ----------
    weighted
        Log of share times e-value of each column, [columns].
    known
        Columns that are named already.
    least
        Columns named in any case.

    >>> named(np.log([900.0, 340.0, 10.0, 2000.0]), np.log(1000.0), known=[])
    [3, 0, 1]
    """
    new = [int(column) for column in np.argsort(-weighted, kind="stable") if column not in known]
    ranks = len(known) + 1 + np.arange(len(new))
    passing = np.flatnonzero(weighted[new] >= log_budget - np.log(ranks))
    return new[: max(least, int(passing[-1]) + 1 if len(passing) else 0)]
