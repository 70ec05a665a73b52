"""What a replay is made of, read once: all that the topics have of a stretch, as one value.

What may be larger than memory (requests, predictions, counts, reports, alerts) is a `streams.kafka.ranges.Range`: its
bounds are set here, and its blocks are read as they are walked. A list of blocks does as well, so a replay is tested
with a recording made by hand.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from driftline.replay.judge_log import JudgeLog, judge_logs
from driftline.replay.overrides import ReplayError
from driftline.replay.served import Observed
from driftline.replay.served_log import observed, outcomes, predictions_beside
from streams.kafka import group_offsets, ranges
from streams.kafka.cluster import Cluster
from streams.kafka.ranges import Range
from streams.kafka.stretch import Stretch, stretch
from streams.routes import read_book
from streams.wire.block import Block
from streams.wire.records import Outcome, Route


class Recording(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A stretch of the past.

    Attributes
    ----------
    routes
        Every route that was announced, in order.
    stretch
        Offsets of `requests` by partition, as they were named.
    whole
        The stretch, widened to whole live blocks.
    to_end
        The stretch reaches to where the worker is, so ``counts`` are judged to where the judge is.
    served
        Observations by partition, in order.
    requests, predictions
        Blocks by partition: the requests of ``whole``, and the predictions of about that time.
    outcomes
        Joined labels with their Kafka times, in ms.
    judges
        One for each partition of `counts`; none where nothing was observed.
    """

    routes: Sequence[Route]
    stretch: Stretch
    whole: Stretch
    to_end: bool
    served: Mapping[int, Sequence[Observed]]
    requests: Mapping[int, Iterable[Block]]
    predictions: Mapping[int, Iterable[Block]]
    outcomes: Sequence[tuple[int, Outcome]] = ()
    judges: Sequence[JudgeLog] = ()

    @property
    def models(self) -> list[str]:
        """Names of the models that have ever served."""
        return sorted({route.model for route in self.routes})

    @property
    def observations(self) -> list[Observed]:
        """Observations of all partitions."""
        return [message for messages in self.served.values() for message in messages]


def routes(cluster: Cluster) -> list[Route]:
    """Read every route that was ever announced.

    Raises
    ------
    ReplayError
        There is none.
    """
    history = read_book(cluster).history
    if not history:
        raise ReplayError("no model has ever served here: `models` is empty; is this the right Kafka?")
    return history


def read(cluster: Cluster, history: Sequence[Route], start: str | None, end: str | None, now_ms: int) -> Recording:
    """Read a stretch.

    Parameters
    ----------
    history
        What `routes` gives.
    start, end
        Places in the log as `streams.kafka.stretch.moment` reads them; the whole topic by default.
    now_ms
        What ``now`` and ``-15m`` mean.

    Raises
    ------
    MomentError
        A place cannot be read, or names a partition that is not there.
    """
    done = _processed(cluster)
    named = stretch(cluster, "requests", done, start, end, now_ms)
    served = {partition: observed(cluster, partition, *named[partition]) for partition in named}
    whole = {partition: _widened(named[partition], served[partition]) for partition in named}
    first_ms = min((message.time for messages in served.values() for message in messages), default=None)
    return Recording(
        routes=history,
        stretch=named,
        whole=whole,
        to_end=all(named.get(partition, (0, 0))[1] >= last for partition, (_, last) in done.items()),
        served=served,
        requests={partition: Range(cluster, "requests", partition, *whole[partition]) for partition in named},
        predictions={partition: predictions_beside(cluster, partition, served[partition]) for partition in named},
        outcomes=() if first_ms is None else outcomes(cluster, first_ms),
        judges=() if first_ms is None else list(judge_logs(cluster, first_ms)),
    )


def _processed(cluster: Cluster) -> Stretch:
    """`requests` up to what the worker has committed; all of them where no worker has ever."""
    bounds = ranges.bounds(cluster, "requests")
    committed = group_offsets.committed(cluster, "score", "requests")
    if not any(committed[partition] > low for partition, (low, _) in bounds.items()):
        return bounds
    return {partition: (low, committed[partition]) for partition, (low, _) in bounds.items()}


def _widened(named: tuple[int, int], served: Sequence[Observed]) -> tuple[int, int]:
    return (
        min([named[0], *(message.head.first for message in served)]),
        max([named[1], *(message.head.last + 1 for message in served)]),
    )
