"""Drift: what a model sees and says, against the data that it was trained on.

A chapter in the order of the data:

1. A table of training data becomes a **reference** (`drift.Reference`): each column is cut into frozen **cells**,
   and the training rows in each cell are counted. The reference holds no rows and never changes.
2. Every later row is counted over the same cells, per minute of event time (`drift.counting.stage`). Counts are
   integers, so they add up the same in any order, over any split, live or replayed.
3. From two vectors of counts come the **effects** that people look at (`drift.statistics`): how far apart, with an
   interval, in a unit that does not grow with the number of rows.
4. From the counts of all windows so far comes the **evidence** that something changed: one budget of false alarms for
   all columns and all time (`drift.evidence`), and **incidents**, which are what a person is told about.
5. With labels, late as they come, the model's **performance** is measured; without them it is estimated
   (`drift.performance`).

It is a notebook library, too: nothing here needs Kafka or ClickHouse, and nothing loads them.

>>> import pandas as pd, drift
>>> ref = drift.Reference.fit(pd.DataFrame({"age": [31.5, 45.2, 18.0, 64.8]}))
>>> drift.count_rows(ref, ref.align(pd.DataFrame({"age": [19.0, None]}))).tolist()
[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drift.analysis.backtest import backtest as backtest
    from drift.analysis.compare import compare as compare
    from drift.cells.cells import Cells as Cells
    from drift.counting.stage import count_rows as count_rows
    from drift.reference.reference import Reference as Reference
    from drift.store.load import load as load

#: Public names and where they live; each is loaded when it is first asked for.
_PUBLIC = {
    "Cells": "drift.cells.cells",
    "Reference": "drift.reference.reference",
    "backtest": "drift.analysis.backtest",
    "compare": "drift.analysis.compare",
    "count_rows": "drift.counting.stage",
    "load": "drift.store.load",
}

__all__ = ["Cells", "Reference", "backtest", "compare", "count_rows", "load"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
        return value
    raise AttributeError(f"module 'drift' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
