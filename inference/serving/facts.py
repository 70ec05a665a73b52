"""What a scorer tells about itself, beside what its caller does."""

from collections.abc import Sequence
from typing import ClassVar

from streams.facts import Counted, Fact, Level, Metric


class NoMemoryForBatch(Fact, frozen=True):
    """The device had no memory for a batch: smaller ones follow, and this size is tried again later."""

    event: ClassVar[str] = "model.no_memory"
    level: ClassVar[Level] = "warning"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_batches_without_memory", "Batches that a device had no memory for.", ["model", "version"])
    ]
    model: str
    version: str
    batch_rows: int
    why: str


class FallbackBegins(Fact, frozen=True):
    """A version has been away for so long that its fallback answers in its place from now on."""

    event: ClassVar[str] = "fallback.begins"
    level: ClassVar[Level] = "warning"
    model: str
    version: str
    fallback: str
    why: str


class FallbackEnds(Fact, frozen=True):
    """A version that was away answers again."""

    event: ClassVar[str] = "fallback.ends"
    model: str
    version: str
    fallback: str
