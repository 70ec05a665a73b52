"""An incident: what a person is told about, from the window in which it began until it has ended."""

import msgspec
import numpy as np

from drift.incidents.changed_column import Moved
from streams.wire.records import Alert, Severity


class Incident(msgspec.Struct, kw_only=True, eq=False):
    """What a person is told about: columns that moved at one time.

    ``start`` is the number of the window that the first change began with; ``told`` counts the alerts so far, and
    ``last`` is the latest; ``material`` says that a column was above its tolerance for certain, and people were told,
    ``severity`` how grave it was. ``began`` is its first change point with its interval (ms), which never changes,
    ``later`` are those of further changes, and ``base`` are the counts of all windows before it, int64 [all cells].
    """

    number: int
    start: int
    moved: list[Moved]
    material: bool = msgspec.field(default=False, name="paged")  # As snapshots call it.
    severity: Severity = "watch"
    told: int = 0
    last: Alert | None = None
    began: tuple[int, int, int] | None = None
    base: np.ndarray | None = None
    later: list[int] = []

    @classmethod
    def of(cls, number: int, moved: Moved) -> "Incident":
        """An incident that begins with a column; nothing names it yet."""
        began = moved.change_point, moved.low, moved.high
        return cls(number=number, start=moved.start, moved=[], began=began, base=moved.base)
