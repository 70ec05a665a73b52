"""What scoring tells about itself: one fact each, with its log line and its metrics."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from streams.away import Away
from streams.facts import Counted, Fact, Level, Metric, Timed
from streams.fatal import Fatal

_VERSION = ["model", "version"]


class RowsScored(Fact, frozen=True):
    """A version has scored its rows of a micro-batch; ``failed`` of them it could not, and ``padding`` rows were
    computed for nobody.
    """

    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_rows_scored", "Rows that a version was given.", [*_VERSION, "role"], "rows"),
        Counted(
            "driftline_rows_failed", "Rows that a version failed on, and on no other.", [*_VERSION, "role"], "failed"
        ),
        Counted("driftline_rows_padding", "Rows that only filled a batch up.", [*_VERSION, "role"], "padding"),
        Timed("driftline_model_seconds", "Time that a version takes for its rows of a micro-batch.", _VERSION),
    ]
    model: str
    version: str
    role: str
    rows: int
    failed: int
    padding: int
    took_ms: float


class RowsByFallback(Fact, frozen=True):
    """Rows of a version that is away have been answered by its fallback."""

    metrics: ClassVar[Sequence[Metric]] = [
        Counted(
            "driftline_rows_by_fallback",
            "Rows of a version that is away, answered by its fallback.",
            [*_VERSION, "fallback"],
            "rows",
        )
    ]
    model: str
    version: str
    fallback: str
    rows: int


class VersionFailed(Fact, frozen=True):
    """A version that answers has failed a micro-batch as a whole; ``kind`` is unavailable, fatal or broken."""

    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_model_failures", "Micro-batches that a version failed as a whole.", [*_VERSION, "kind"])
    ]
    model: str
    version: str
    kind: Literal["unavailable", "fatal", "broken"]

    @classmethod
    def by(cls, error: Exception, model: str, version: str) -> Self:
        """The fact of an error that a version's scorer raised.

        Parameters
        ----------
        error
            What was raised; its kind is what `inference.backends.errors` says of it.
        model, version
            Whose scorer raised it.
        """
        if isinstance(error, Fatal):
            return cls(model, version, "fatal")
        return cls(model, version, "unavailable" if isinstance(error, Away) else "broken")


class ShadowFailed(Fact, frozen=True):
    """A shadow has failed on all its rows; those who answer do not wait for it."""

    event: ClassVar[str] = "shadow.failed"
    level: ClassVar[Level] = "warning"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_shadow_failures", "Micro-batches on which a shadow failed as a whole.", _VERSION)
    ]
    model: str
    version: str
    why: str


class ShadowRowsLeftOut(Fact, frozen=True):
    """A shadow has too many rows before it, or ended processes: rows that were answered are not scored by it."""

    event: ClassVar[str] = "shadow.left_out"
    level: ClassVar[Level] = "warning"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_shadow_rows_left_out", "Rows that a shadow did not score.", _VERSION, "rows")
    ]
    model: str
    version: str
    rows: int
    why: str


class ProcessesEnded(Fact, frozen=True):
    """A record is at fault, for processes have ended over it."""

    event: ClassVar[str] = "score.ended_processes"
    level: ClassVar[Level] = "error"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_records_ended_processes", "Records refused because processes ended over them.", _VERSION)
    ]
    model: str
    version: str
    place: str
    why: str


class HandNotKept(Fact, frozen=True):
    """What a model has in hand cannot be written down; a record that ends this process may end the next one, too."""

    event: ClassVar[str] = "in_hand.not_kept"
    level: ClassVar[Level] = "warning"
    file: str
    why: str


class HandLeft(Fact, frozen=True):
    """A predecessor ended while a model had records in hand."""

    event: ClassVar[str] = "in_hand.left"
    level: ClassVar[Level] = "warning"
    model: str
    version: str
    ranges: int
    ends: int
