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
