"""Where a partition begins: at its committed offset, and never at a guess.

While a dead member's open transaction holds offsets, the group's offsets are "unstable", and librdkafka takes that for
"none": left alone it would read the partition from its beginning and double every prediction. So the offsets are asked
for until they are stable, and the consumer's own reset policy is `error`.
"""

import json
from collections.abc import Callable

import confluent_kafka as ck
import structlog

from streams.clock import ticks_ms

log = structlog.get_logger("streams.offsets")

_ASK_S = 2.0
_WATERMARKS_S = 5.0
UNSTABLE_MS_MAX = 60_000


class Gap(RuntimeError):
    """Retention has taken records that were never read; to go on behind them is the operator's word, not ours."""


class Starts:
    """Finds the start of each partition.

    Parameters
    ----------
    from_end
        Where a group that has never committed begins: at the end instead of the beginning.
    accept_gap
        Go on behind a `Gap`, counting it in ``lost_records``, instead of refusing.
    """

    def __init__(self, from_end: bool = False, accept_gap: bool = False) -> None:
        self.lost_records = 0
        self._from_end = from_end
        self._accept_gap = accept_gap

    def of(
        self, consumer: ck.Consumer, partitions: list[ck.TopicPartition], stopping: Callable[[], bool]
    ) -> list[ck.TopicPartition]:
        """Partitions with the offset to begin at and the metadata of their last commit.

        Raises
        ------
        Gap
            Committed offsets lie before the log's beginning.
        TimeoutError
            The offsets stayed unstable.
        """
        asked = ticks_ms()
        while partitions:
            try:
                committed = consumer.committed(partitions, _ASK_S)
                if not any(p.error for p in committed):
                    return [self._start(consumer, p) for p in committed]
            except ck.KafkaException as error:  # unstable, or the broker is away: ask again
                log.info("offsets.unstable", why=error.args[0].str())
            if stopping() or ticks_ms() - asked > UNSTABLE_MS_MAX:
                raise TimeoutError(f"no stable offsets for {UNSTABLE_MS_MAX} ms; is a broker away?")
        return []

    def _start(self, consumer: ck.Consumer, p: ck.TopicPartition) -> ck.TopicPartition:
        low, high = consumer.get_watermark_offsets(p, timeout=_WATERMARKS_S)
        if p.offset < 0:
            return ck.TopicPartition(p.topic, p.partition, high if self._from_end else low)
        if p.offset >= low:
            return p
        told = f"{p.topic}/{p.partition}: offsets {p.offset} to {low - 1} were never read, retention has taken them"
        if not self._accept_gap:
            raise Gap(f"{told}; set kafka.accept_gap=true to go on at {low}")
        self.lost_records += low - p.offset
        log.error("offsets.gap", what=told)
        return ck.TopicPartition(p.topic, p.partition, low, metadata=_without_intent(p.metadata))


def _without_intent(memory: str | None) -> str:
    """A sink's intent names offsets that are gone; other memory holds on."""
    try:
        return "" if "until" in json.loads(memory or "{}") else memory or ""
    except ValueError:
        return memory or ""
