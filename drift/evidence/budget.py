"""Naming: how the budget of false alarms is shared, and which columns an alarm names."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from drift.cells.cells import Cells


def shares(
    columns: Sequence[Cells], budget: Mapping[str, float], aside: float = 0.0, without: Collection[str] = ()
) -> np.ndarray:
    """Share of the budget of each column, float64 [columns], summing to 1 less what is set aside.

    The budget's shares by kind, over the kinds that there are; inside a kind all columns alike. ``aside`` is the share
    of kinds that are no columns'. Columns ``without`` a share are no evidence; the others have theirs.

    Parameters
    ----------
    budget
        Share of each kind of column, 0 to 1.
    aside
        Share of kinds that are no columns', 0 to 1.
    without
        Names of columns that are no evidence.

    >>> two = [Cells(name="age"), Cells(name="income"), Cells(name="score", role="prediction")]
    >>> shares(two, {"feature": 0.15, "prediction": 0.25}).round(4).tolist()
    [0.1875, 0.1875, 0.625]
    >>> shares(two, {"feature": 0.15, "prediction": 0.25}, without=["age"]).round(4).tolist()
    [0.0, 0.375, 0.625]
    """
    judged = np.array([cells.name not in without for cells in columns])
    roles = [cells.role if is_judged else "" for cells, is_judged in zip(columns, judged, strict=True)]
    weight = np.array([budget.get(role, 0.0) / roles.count(role) for role in roles])
    if not weight.sum():
        even: np.ndarray = judged * (1 - aside) / max(1, judged.sum())
        return even
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
