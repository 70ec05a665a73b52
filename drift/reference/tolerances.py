"""Tolerances: how far a column may move before anyone need care."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from streams.wire.records import Watch

_DEFAULTS = Watch().tolerances
#: KS and TVD are at most 1: with this tolerance no change is material.
_ANY = 1.0


def tolerance(watch: Watch, statistic: str) -> float:
    """Material effect in the unit of a statistic (``ks``, ``tvd``, ``rate``); what a route leaves out has its default.

    >>> tolerance(Watch(tolerances={"ks": 0.2}), "ks"), tolerance(Watch(tolerances={"ks": 0.2}), "tvd")
    (0.2, 0.05)
    """
    return watch.tolerances.get(statistic, _DEFAULTS[statistic])


def column_tolerance(watch: Watch, column: str, statistic: str) -> float:
    """Material effect of a column: its own where it has one; of a column that is left out, the most there can be.

    Parameters
    ----------
    watch
        The settings; ``tolerances`` are by statistic, those of columns go first.
    statistic
        Statistic whose unit the tolerance has.

    >>> from streams.wire.records import ColumnWatch
    >>> watch = Watch(columns={"age": ColumnWatch(tolerance=0.1)}, exclude=("debug_*",))
    >>> [column_tolerance(watch, name, "ks") for name in ("age", "income", "debug_3")]
    [0.1, 0.05, 1.0]
    """
    if excluded(watch, column):
        return _ANY
    column_own = watch.columns[column].tolerance if column in watch.columns else None
    return tolerance(watch, statistic) if column_own is None else column_own


def excluded(watch: Watch, column: str) -> bool:
    """Whether a column is counted and shown, and never evidence."""
    if column in watch.columns and watch.columns[column].exclude:
        return True
    return any(fnmatchcase(column, pattern) for pattern in watch.exclude)


def unmatched(watch: Watch, columns: Iterable[str]) -> list[str]:
    """Names and patterns of a route that mean none of a model's columns: mostly misspelt ones.

    >>> from streams.wire.records import ColumnWatch
    >>> unmatched(Watch(columns={"agee": ColumnWatch(exclude=True)}, exclude=("deb*", "in*")), ["age", "income"])
    ['agee', 'deb*']
    """
    known = list(columns)
    names = [name for name in watch.columns if name not in known]
    return names + [pattern for pattern in watch.exclude if not any(fnmatchcase(column, pattern) for column in known)]
