"""An incident about columns: from the window in which it began until all of them are back."""

import msgspec
import numpy as np

from drift.incidents.changed_column import ChangedColumn
from streams.wire.records import Alert, Severity


class Incident(msgspec.Struct, kw_only=True, eq=False):
    """What a person is told about: columns that moved at one time.

    Parameters
    ----------
    number, start
        Its number, and that of the window that the first change began with.
    columns
        The columns that it names.
    material, severity
        A column was above its tolerance for certain, and people were told; how grave it was.
    alerts, latest
        How many alerts there were so far, and the latest.
    began
        Its first change point with its interval (ms), which never changes.
    base
        Counts of all windows before it, int64 [all cells].
    later
        Change points of further changes.
    """

    number: int
    start: int
    columns: list[ChangedColumn] = msgspec.field(name="moved")
    material: bool = msgspec.field(default=False, name="paged")  # As snapshots call it.
    severity: Severity = "watch"
    alerts: int = msgspec.field(default=0, name="told")
    latest: Alert | None = msgspec.field(default=None, name="last")
    began: tuple[int, int, int] | None = None
    base: np.ndarray | None = None
    later: list[int] = []

    @classmethod
    def of(cls, number: int, column: ChangedColumn) -> "Incident":
        """An incident that begins with a column; nothing names it yet."""
        began = column.change_point, column.low, column.high
        return cls(number=number, start=column.start, columns=[], began=began, base=column.base)

    @property
    def last(self) -> Alert | None:
        """Its latest alert."""
        return self.latest

    @last.setter
    def last(self, alert: Alert | None) -> None:
        self.alerts += 1
        self.latest = alert

    def name(self, model: str) -> str:
        """What it is called."""
        return f"{model}-{self.number}"
