"""Rows of a version that is away, as its fallback sees them; and in a replay those that a fallback answered then."""

from collections.abc import Callable, Sequence

import numpy as np

from inference.scoring.outcome import Part
from inference.serving.standby import Standby


def as_fallback(parts: Sequence[Part], standby: Standby) -> list[Part]:
    """The same rows for who stands by: nothing of a request is lost, for its view is of all that was decoded."""
    return [Part(part.block, "fallback", standby.view(part.decoded), part.decoded) for part in parts]


def apart_as_recorded(
    parts: Sequence[Part], standby: Standby, version: str, shapes_then: Callable[[str, Part], np.ndarray]
) -> tuple[list[Part], list[Part]]:
    """Rows that a version answered, or nobody, and those that its fallback answered.

    Parameters
    ----------
    parts
        Rows that the route gives to the version.
    standby, version
        Who stands by for which version.
    shapes_then
        At which batch shape a version scored the rows of a part, int32 [rows]; 0 where it did not.
    """
    by_version: list[Part] = []
    by_fallback: list[Part] = []
    for part in parts:
        theirs = (shapes_then(standby.scorer.package.version, part) > 0) & (shapes_then(version, part) == 0)
        for some, which in ((by_version, ~theirs), (by_fallback, theirs)):
            if which.any():
                some.append(part if which.all() else part.pick(np.flatnonzero(which)))
    return by_version, by_fallback
