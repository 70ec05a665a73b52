"""Where what was served lies on the topics: the observations of a stretch of requests, and what left with them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec

from driftline.replay.served import Observed
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.kafka.ranges import Range
from streams.kafka.stretch import first_where
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.records import Outcome

#: Messages of one live block lie side by side, a few a version; the search may land among them, so it starts before.
_BESIDE = 64
#: Predictions leave with their observations in one transaction, by one clock; a micro-batch takes less than this.
_BATCH_MS_MAX = 60_000

_outcome = msgspec.json.Decoder(Outcome).decode


def observed(cluster: Cluster, partition: int, start: int, end: int) -> list[Observed]:
    """Read the observations of the live blocks that touch some requests, in order.

    Parameters
    ----------
    start, end
        Offsets of the requests, the end excluded.
    """
    begin, high = ranges.bounds(cluster, "observations")[partition]
    if start > ranges.bounds(cluster, "requests")[partition][0]:
        first = first_where(cluster, "observations", partition, lambda value: _last(value) >= start)
        begin = max(begin, first - _BESIDE)
    touching: list[Observed] = []
    beyond = 0
    for block in ranges.read(cluster, "observations", partition, begin, high, rows_max=500):
        for message in _readable(block):
            if message.head.topic == "requests":
                beyond += message.head.first >= end
                if message.head.first < end and message.head.last >= start:
                    touching.append(message)
        if beyond > _BESIDE:
            break
    return touching


def _readable(block: Block) -> Iterator[Observed]:
    """The observations of a block; what is none, the count step has set aside."""
    for value, time in zip(block.values, block.times, strict=True):
        with suppress(observation.FormatError):
            yield Observed.read(value or b"", time)


def _last(value: bytes | None) -> float:
    """The last request that a record is about; one that is no observation hides nothing that stands before it."""
    try:
        return observation.decode(value or b"")[0].last
    except observation.FormatError:
        return math.inf


def predictions_beside(cluster: Cluster, partition: int, served: Sequence[Observed]) -> Iterable[Block]:
    """Find the predictions of about the time of some observations.

    Parameters
    ----------
    served
        Observations of the partition; without any there are no predictions.
    """
    if not served:
        return ()
    times = [message.time for message in served]
    starts = ranges.at_time(cluster, "predictions", min(times) - _BATCH_MS_MAX)
    ends = ranges.at_time(cluster, "predictions", max(times) + _BATCH_MS_MAX)
    return Range(cluster, "predictions", partition, starts[partition], ends[partition])


def outcomes(cluster: Cluster, since_ms: int) -> list[tuple[int, Outcome]]:
    """Read outcomes with their Kafka times, in ms, from a time on."""
    joined: list[tuple[int, Outcome]] = []
    starts = ranges.at_time(cluster, "outcomes", since_ms)
    for partition, (_, end) in ranges.bounds(cluster, "outcomes").items():
        for block in ranges.read(cluster, "outcomes", partition, starts[partition], end):
            joined += [(time, _outcome(value or b"")) for time, value in zip(block.times, block.values, strict=True)]
    return joined
