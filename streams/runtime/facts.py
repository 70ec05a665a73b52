"""What the runtime tells about itself: one fact each, with its log line and its metrics."""

from collections.abc import Sequence
from typing import ClassVar

from streams.facts import Counted, Fact, Level, Metric, Timed


class BatchProcessed(Fact, frozen=True):
    """A step is through with a micro-batch."""

    metrics: ClassVar[Sequence[Metric]] = [
        Timed("driftline_fold_seconds", "Time a micro-batch spends in its step.", ["step"])
    ]
    step: str
    took_ms: float


class BatchCommitted(Fact, frozen=True):
    """The effects of a micro-batch are visible."""

    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_rows_settled", "Records whose effects are committed.", ["step"], "rows"),
        Counted("driftline_turns_settled", "Micro-batches committed.", ["step"]),
        Timed("driftline_settle_seconds", "Time the commit of a micro-batch takes.", ["step"]),
    ]
    step: str
    rows: int
    took_ms: float


_FAILED = Counted("driftline_turns_failed", "Micro-batches that were rolled back and read again.", ["step"])


class BatchFailed(Fact, frozen=True):
    """A micro-batch is rolled back and read again; ``where`` is ``process`` or ``commit``."""

    event: ClassVar[str] = "{step}.again"
    level: ClassVar[Level] = "warning"
    metrics: ClassVar[Sequence[Metric]] = [_FAILED]
    step: str
    where: str
    kind: str
    why: str
    failures: int


class BatchAborted(BatchFailed, frozen=True):
    """The same, by a rebalance or a broker that stumbled: nothing to look after."""

    level: ClassVar[Level] = "info"


class BatchingChanged(Fact, frozen=True):
    """The batching controller chooses, or the fixed default holds; ``holds`` is ``tuned`` or ``default``."""

    event: ClassVar[str] = "{step}.batching"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_batching_changes", "Changes between tuned and default batching.", ["step", "holds"])
    ]
    step: str
    holds: str
    rows_max: int
    wait_ms: float


class Crashed(Fact, frozen=True):
    """The process ends at once, for it can go on no more."""

    event: ClassVar[str] = "{step}.crash"
    level: ClassVar[Level] = "error"
    step: str
    kind: str
    why: str


class PartitionsAssigned(Fact, frozen=True):
    """Partitions have come; each as ``topic/partition``."""

    event: ClassVar[str] = "partitions.assigned"
    partitions: list[str]


class PartitionsLost(Fact, frozen=True):
    """Partitions have gone to somebody else before they were given back."""

    event: ClassVar[str] = "partitions.lost"
    level: ClassVar[Level] = "warning"
    partitions: list[str]


class PartitionHeldBack(Fact, frozen=True):
    """A partition cannot begin yet."""

    event: ClassVar[str] = "partition.held_back"
    level: ClassVar[Level] = "warning"
    partition: str
    why: str


class StageAwaits(Fact, frozen=True):
    """A stage cannot begin without something that does not answer now."""

    event: ClassVar[str] = "partitions.await"
    level: ClassVar[Level] = "warning"
    why: str


class BatchUnreadable(Fact, frozen=True):
    """Records that the client cannot unpack are passed over, each as one without a value."""

    event: ClassVar[str] = "consumer.does_not_unpack"
    level: ClassVar[Level] = "error"
    group: str
    first: str
    records: int
    why: str


class TopicRemade(Fact, frozen=True):
    """A topic was deleted and made again."""

    event: ClassVar[str] = "offsets.topic_made_again"
    level: ClassVar[Level] = "warning"
    topic: str
    what: str


class RecordsLost(Fact, frozen=True):
    """Records that nobody has read are gone, at the most so many."""

    event: ClassVar[str] = "offsets.gap"
    level: ClassVar[Level] = "error"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted(
            "driftline_records_lost",
            "Records that retention took before they were read, at the most.",
            ["group", "topic"],
            "records_max",
        )
    ]
    group: str
    topic: str
    records_max: int
    what: str


class RecordSetAside(Fact, frozen=True):
    """A record has become a dead letter; logged for the first of each kind and partition."""

    event: ClassVar[str] = "record set aside"
    level: ClassVar[Level] = "warning"
    metrics: ClassVar[Sequence[Metric]] = [
        Counted("driftline_records_set_aside", "Records that became dead letters.", ["step", "topic", "reason"])
    ]
    step: str
    topic: str
    reason: str
    place: str
    why: str
    remedy: str
    more: str = "`driftline dead-letters list`; further ones of this kind and partition are counted only"


class SnapshotRestored(Fact, frozen=True):
    """A stage has its state again: its snapshot, and so many records behind it."""

    event: ClassVar[str] = "snapshots.restored"
    topic: str
    partition: int
    processed: int
