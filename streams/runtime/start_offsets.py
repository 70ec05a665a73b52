"""Where a partition begins: at its committed offset, and never at a guess.

While a dead member's open transaction holds offsets, the group's offsets are "unstable", and librdkafka takes that for
"none": left alone it would read the partition from its beginning and double every prediction. So the offsets are asked
for until they are stable, and the consumer's own reset policy is `error`.

Where retention has taken records that were never read, the group goes on behind them: to stop would only lose more. The
gap is counted, and told with what to do. But a group whose offsets the broker has forgotten is no new one, and what it
has read is not known: see `streams.runtime.offset_marks`. A topic that was deleted and made
again is a new one: it is read from its beginning, whatever is said about gaps.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import confluent_kafka as ck
import structlog

from streams.clock import now_ms, ticks_ms
from streams.kafka.topic_ids import topic_ids
from streams.runtime.facts import RecordsLost, TopicRemade
from streams.runtime.offset_marks import OffsetMarks, Place

log = structlog.get_logger("streams.runtime.start_offsets")

_ASK_S = 2.0
_WATERMARKS_S = 5.0
_PAUSE_S = 0.05
UNSTABLE_MS_MAX = 60_000
_NOTES_MAX = 20

_T = TypeVar("_T")


class Gap(RuntimeError):
    """The broker has forgotten which records were read; to go on behind them is the operator's word, not ours."""


class StartOffsets:
    """Finds the start of each partition.

    Parameters
    ----------
    from_end
        Where a group that has never committed begins: at the end instead of the beginning.
    accept_gap
        Go on behind a `Gap`, counting it in ``lost_records``, instead of refusing.

    Attributes
    ----------
    lost_records
        Records that were never read and are gone, at the most.
    notes
        What happened that people should know, with its time in ms; the newest ones.
    """

    def __init__(self, from_end: bool = False, accept_gap: bool = False) -> None:
        self.lost_records = 0
        self.notes: deque[tuple[int, str]] = deque(maxlen=_NOTES_MAX)
        self._from_end = from_end
        self._accept_gap = accept_gap

    def of(
        self,
        consumer: ck.Consumer,
        partitions: list[ck.TopicPartition],
        marks: OffsetMarks,
        stopping: Callable[[], bool],
    ) -> list[ck.TopicPartition]:
        """Partitions with the offset to begin at and the metadata of their last commit.

        Where the group is new, or the topic, its start is committed at once: it holds, whatever happens before the
        first commit.

        Parameters
        ----------
        consumer, partitions
            The group's, and which it is about to read.
        marks
            Where the group has begun before.
        stopping
            Whether nobody waits any more.

        Raises
        ------
        Gap
            The broker has forgotten committed offsets.
        TimeoutError
            The offsets stayed unstable.
        """
        known = _ask(consumer, partitions, marks, stopping)
        self._note_remade(known.remade)
        starts = [
            *(self._of_new(known, p, marks) for p in known.committed if p.offset < 0 and p not in known.remade),
            *(ck.TopicPartition(p.topic, p.partition, known.bounds_of(p)[0], metadata="") for p in known.remade),
        ]
        pinned = _pin(consumer, starts)
        ids = {marks.cluster.logical(name): id_ for name, id_ in known.ids.items()}
        marks.note((marks.place(p) for p in known.committed if pinned or p not in starts), ids)
        others = [p for p in known.committed if p not in starts]
        return starts + [self._go_on(marks, p, known.bounds_of(p)[0]) for p in others]

    def _of_new(self, known: "_Known", p: ck.TopicPartition, marks: OffsetMarks) -> ck.TopicPartition:
        """Where a partition without an offset begins; one that bears a mark is no new one."""
        low, high = known.bounds_of(p)
        if marks.place(p) in known.marks:
            if not self._accept_gap:
                raise Gap(_forgotten(p, high))
            self._count(marks, p, high - low, _forgotten(p, high))
            low = high  # nothing is done twice
        p.offset = high if self._from_end else low
        return p

    def _note_remade(self, remade: list[ck.TopicPartition]) -> None:
        for topic in sorted({p.topic for p in remade}):
            note = f"{topic} was deleted and made again; it is read from its beginning"
            self.notes.append((now_ms(), note))
            TopicRemade(topic, note).tell()

    def _go_on(self, marks: OffsetMarks, p: ck.TopicPartition, low: int) -> ck.TopicPartition:
        if p.offset >= low:
            return p
        what = (
            f"{p.topic}/{p.partition}: offsets {p.offset} to {low - 1} were never read, retention has taken them; "
            f"{marks.group} goes on at {low}. Keep records for longer (kafka.retention_ms), read faster "
            "(roles.workers), or, where they carry old times, set message.timestamp.type=LogAppendTime on the topic"
        )
        self._count(marks, p, low - p.offset, what)
        return ck.TopicPartition(p.topic, p.partition, low, metadata=_without_intent(p.metadata))

    def _count(self, marks: OffsetMarks, p: ck.TopicPartition, records: int, what: str) -> None:
        self.lost_records += records
        self.notes.append((now_ms(), what))
        RecordsLost(marks.group, marks.cluster.logical(p.topic), records, what).tell()


class _Known(NamedTuple):
    """What the broker says of some partitions: offsets of the group, the log's bounds, ids of topics; and the marks."""

    committed: list[ck.TopicPartition]
    bounds: dict[tuple[str, int], tuple[int, int]]
    ids: Mapping[str, str]
    marks: Mapping[Place, str]
    remade: list[ck.TopicPartition]

    def bounds_of(self, p: ck.TopicPartition) -> tuple[int, int]:
        return self.bounds[p.topic, p.partition]


def _ask(
    consumer: ck.Consumer, partitions: list[ck.TopicPartition], marks: OffsetMarks, stopping: Callable[[], bool]
) -> _Known:
    committed = _patiently(lambda: _committed(consumer, partitions), stopping)
    bounds = {
        (p.topic, p.partition): _patiently(lambda p=p: _bounds(consumer, p), stopping)  # type: ignore[misc]
        for p in committed
    }
    names = {p.topic for p in committed}
    ids = _patiently(lambda: topic_ids(marks.cluster, names), stopping)
    strange = any(not 0 <= p.offset <= bounds[p.topic, p.partition][1] for p in committed)
    left = marks.read() if strange else marks.noted
    remade = [p for p in committed if _other(left.get(marks.place(p)), ids.get(p.topic))]
    return _Known(committed, bounds, ids, left, remade)


def _other(before: str | None, now: str | None) -> bool:
    """Whether a topic is not the one that a mark was left for, as far as both are known."""
    return bool(before and now and before != now)


def _forgotten(p: ck.TopicPartition, high: int) -> str:
    return (
        f"{p.topic}/{p.partition}: the group has read here before, and the broker has forgotten how far (it does, "
        "offsets.retention.minutes after the last member has left, and when a topic is deleted); set the offsets with "
        f"kafka-consumer-groups --reset-offsets, or set kafka.accept_gap=true to go on at the end, {high}"
    )


def _committed(consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
    offsets: list[ck.TopicPartition] = consumer.committed(partitions, _ASK_S) if partitions else []
    for p in offsets:
        if p.error:
            raise ck.KafkaException(p.error)
    return offsets


def _bounds(consumer: ck.Consumer, p: ck.TopicPartition) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(p, timeout=_WATERMARKS_S)
    return low, high


def _patiently(ask: Callable[[], _T], stopping: Callable[[], bool]) -> _T:
    """Ask again while the broker is away, has no leader for a new topic, or a transaction holds the offsets."""
    since_ms = ticks_ms()
    while True:
        try:
            return ask()
        except ck.KafkaException as error:
            log.info("offsets.unstable", why=error.args[0].str())
            if stopping() or ticks_ms() - since_ms > UNSTABLE_MS_MAX:
                raise TimeoutError(f"no stable offsets for {UNSTABLE_MS_MAX} ms; is a broker away?") from error
        time.sleep(_PAUSE_S)


def _pin(consumer: ck.Consumer, starts: list[ck.TopicPartition]) -> bool:
    """Commit where a new group begins; the next rebalance may come between, and then the next start does."""
    try:
        return not starts or not any(p.error for p in consumer.commit(offsets=starts, asynchronous=False))
    except ck.KafkaException as error:
        log.info("offsets.not_pinned", why=error.args[0].str())
        return False


def _without_intent(memory: str | None) -> str:
    """A sink's intent names offsets that are gone; other memory holds on."""
    try:
        return "" if "until" in json.loads(memory or "{}") else memory or ""
    except ValueError:
        return memory or ""
