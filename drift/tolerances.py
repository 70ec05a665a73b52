"""Tolerances: how far a column may move before anyone need care."""

from streams.records import Watch

_DEFAULTS = Watch().tolerances


def tolerance(watch: Watch, statistic: str) -> float:
    """Material effect in the unit of a statistic (``ks``, ``tvd``, ``rate``); what a route leaves out has its default.

    >>> tolerance(Watch(tolerances={"ks": 0.2}), "ks"), tolerance(Watch(tolerances={"ks": 0.2}), "tvd")
    (0.2, 0.05)
    """
    return watch.tolerances.get(statistic, _DEFAULTS[statistic])
