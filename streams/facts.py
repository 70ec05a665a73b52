"""Facts: what a process tells about itself; each gives a log line, a metric, or both.

A fact is a frozen Struct, so what can be told, and with which fields, stands in one place for each package
(`streams.runtime.facts`, `inference.scoring.facts`), and nobody spells the name of a metric a second time.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol

import msgspec
from prometheus_client import Counter, Histogram

from streams.logs import logger

Level = Literal["info", "warning", "error"]


class Metric(Protocol):
    """Takes what a fact adds to it."""

    def add(self, fact: "Fact") -> None: ...


class Counted:
    """A counter: so many more.

    Parameters
    ----------
    name, meaning
        As Prometheus shows it, without ``_total``.
    labels
        Fields of the fact whose values are the labels: closed sets, or names that an operator gave.
    field
        How many; without one each fact counts once.
    """

    def __init__(self, name: str, meaning: str, labels: Sequence[str], field: str = "") -> None:
        self._counter = Counter(name, meaning, labels)
        self._labels, self._field = labels, field

    def add(self, fact: "Fact") -> None:
        """Count a fact."""
        labelled = self._counter.labels(*(getattr(fact, label) for label in self._labels))
        labelled.inc(getattr(fact, self._field) if self._field else 1)


class Timed:
    """A histogram of seconds.

    Parameters
    ----------
    name, meaning, labels
        See `Counted`.
    field
        Which of the fact's fields, in ms.
    """

    def __init__(self, name: str, meaning: str, labels: Sequence[str], field: str = "took_ms") -> None:
        self._histogram = Histogram(name, meaning, labels)
        self._labels, self._field = labels, field

    def add(self, fact: "Fact") -> None:
        """Observe a fact."""
        labelled = self._histogram.labels(*(getattr(fact, label) for label in self._labels))
        labelled.observe(getattr(fact, self._field) / 1000)


class Fact(msgspec.Struct, frozen=True):
    """Something that has happened.

    Attributes
    ----------
    event
        The event of the log line, which may name fields in braces; empty for none.
    level
        Of the log line.
    metrics
        What it adds to.

    >>> class Waited(Fact, frozen=True):
    ...     event: ClassVar[str] = "{step}.waited"
    ...     step: str
    ...     for_ms: int
    >>> from structlog.testing import capture_logs
    >>> with capture_logs() as logs:
    ...     Waited("score", 7).tell()
    >>> logs
    [{'step': 'score', 'for_ms': 7, 'event': 'score.waited', 'log_level': 'info'}]
    """

    event: ClassVar[str] = ""
    level: ClassVar[Level] = "info"
    metrics: ClassVar[Sequence[Metric]] = ()

    def tell(self) -> None:
        """Count it and log it."""
        self.count()
        self.log()

    def count(self) -> None:
        """Add to the metrics alone."""
        for metric in self.metrics:
            metric.add(self)

    def log(self) -> None:
        """Write the log line alone."""
        if self.event:
            fields: dict[str, Any] = msgspec.structs.asdict(self)
            write = getattr(logger(type(self).__module__), self.level)
            write(self.event.format_map(fields), **fields)
