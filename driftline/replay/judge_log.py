"""What a judge read and wrote: a partition of `counts`, and what it published of it."""

from collections.abc import Iterable, Iterator

import msgspec

from streams.kafka import group_offsets, ranges
from streams.kafka.cluster import Cluster
from streams.kafka.ranges import Range
from streams.runtime import snapshots
from streams.wire.block import Block

#: Records of other topics are looked for from so long before the observations that they belong to; clocks differ.
CLOCKS_MS_MAX = 600_000


class JudgeLog(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A partition of `counts`, and the same one of `reports` and `alerts`.

    Attributes
    ----------
    start, end
        Offsets of ``counts``.
    snapshot
        State of the judge at ``start``; None where it had none, or it is gone.
    counts, reports, alerts
        Blocks in order; of the verdicts those since shortly before the stretch.
    """

    partition: int
    start: int
    end: int
    snapshot: bytes | None
    counts: Iterable[Block]
    reports: Iterable[Block] = ()
    alerts: Iterable[Block] = ()


def judge_logs(cluster: Cluster, served_ms: int) -> Iterator[JudgeLog]:
    """Find every partition's log since requests were served, in Kafka time."""
    since_ms = served_ms - CLOCKS_MS_MAX
    likely = ranges.at_time(cluster, "counts", since_ms)
    done = group_offsets.committed(cluster, "judge", "counts")
    reports, alerts = _since(cluster, "reports", since_ms), _since(cluster, "alerts", since_ms)
    stored = ranges.bounds(cluster, "snapshots")
    for partition, (low, high) in ranges.bounds(cluster, "counts").items():
        blocks = list(ranges.read(cluster, "snapshots", partition, *stored[partition]))
        newest = snapshots.newest(blocks, "counts", partition, max(low, likely[partition]))
        # From an older snapshot the judge could not go on: retention has taken the counts behind it.
        start, snapshot = newest if newest and newest[0] >= low else (low, None)
        end = done[partition] if done[partition] > low else high
        yield JudgeLog(
            partition=partition,
            start=start,
            end=end,
            snapshot=snapshot,
            counts=Range(cluster, "counts", partition, start, end),
            reports=reports[partition],
            alerts=alerts[partition],
        )


def _since(cluster: Cluster, topic: str, since_ms: int) -> dict[int, Range]:
    """What each partition of a topic holds from a Kafka time on."""
    starts = ranges.at_time(cluster, topic, since_ms)
    ends = ranges.bounds(cluster, topic)
    return {partition: Range(cluster, topic, partition, starts[partition], end) for partition, (_, end) in ends.items()}
