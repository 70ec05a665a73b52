"""What the rules of one model version and segment share: its state, what holds now, its baseline, and the book."""

from collections.abc import Callable, Iterable
from functools import cached_property

from drift.incidents.book import Book, Finding, Holder
from drift.incidents.closed_window import ClosedWindow, MonitorContext
from drift.judge.state import SegmentState
from drift.reference.baseline import Baseline
from streams.wire.records import Alert

#: Finds the baseline of a version.
Baselines = Callable[[str], Baseline]


class Monitor:
    """One segment as the rules see it.

    Parameters
    ----------
    state
        What is remembered of it; changed in place.
    context
        Whose it is, and what holds now.
    references
        Finds the baseline of a version, when it is needed.
    book
        Makes the alerts.
    """

    def __init__(self, state: SegmentState, context: MonitorContext, references: Baselines, book: Book) -> None:
        self.state = state
        self.context = context
        self.book = book
        self._references = references

    @cached_property
    def baseline(self) -> Baseline:
        """What the version's windows are compared with, as it was registered."""
        return self._references(self.context.version)

    def measured(self, reference: str = "") -> Baseline:
        """Allow for what has been accepted as usual (but for what was reported by another ``reference``), and for what
        the stream has shown of how windows differ.
        """
        baseline, normal, learning = self.baseline, self.state.normal, self.state.learning
        if normal is not None and reference != baseline.reference.id:
            baseline = baseline.overlaid(normal)
        return baseline if learning is None else baseline.widened(learning.effects)

    def closed(self, start: int, end: int) -> ClosedWindow:
        """A closed window of this segment."""
        return ClosedWindow(context=self.context, start=start, end=end)

    def tell(self, holder: Holder, window: ClosedWindow, *findings: Finding | None) -> list[Alert]:
        """Make the alerts of one rule's findings.

        Parameters
        ----------
        holder
            What keeps the latest alert of the rule's incident.
        window
            The window of the findings.
        findings
            What was found, if anything.
        """
        return self.tell_each(window, ((holder, finding) for finding in findings if finding is not None))

    def tell_each(self, window: ClosedWindow, findings: Iterable[tuple[Holder, Finding]]) -> list[Alert]:
        """Make the alerts of findings about several incidents, one after the other."""
        return [self.book.tell(holder, window, finding) for holder, finding in findings]
