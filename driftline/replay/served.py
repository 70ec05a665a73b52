"""What was served: the observations of a stretch, which name their requests, and the predictions beside them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.kafka.stretch import first_where
from streams.wire import observation
from streams.wire.observation import Head

#: Messages of one live block lie side by side, a few a version; the search may land among them, so it starts before.
_BESIDE = 64
#: Predictions leave with their observations in one transaction, by one clock; a micro-batch takes less than this.
_TURN_MS_MAX = 60_000

Place = tuple[int, int]
"""Offset of a request, and its row where the message holds many."""


class Observed(msgspec.Struct, frozen=True):
    """One message of observations: rows of one version and role, in request order.

    ``offsets`` and ``rows`` are int64 [n] places of the requests, ``ts`` int64 [n] their event times, ``time`` Kafka's
    time of the message in ms.
    """

    head: Head
    role: str
    ids: pa.StringArray
    offsets: np.ndarray
    rows: np.ndarray
    ts: np.ndarray
    time: int

    @classmethod
    def read(cls, value: bytes, time: int = 0) -> "Observed":
        """Read one message."""
        head, batch = observation.decode(value)
        offsets, rows, ts = (batch.column(name).to_numpy().astype(np.int64) for name in ("offset", "row", "ts"))
        role = batch.column("route")[0].as_py() if batch.num_rows else ""  # a watched topic's silence
        return cls(head, role, batch.column("id"), offsets, rows, ts, time)

    @property
    def answers(self) -> bool:
        """Whether its rows were answered, and not only observed."""
        return self.role != "shadow"

    def places(self) -> Iterator[Place]:
        """Places of its rows."""
        return zip(self.offsets.tolist(), self.rows.tolist(), strict=True)


def observed(cluster: Cluster, partition: int, start: int, end: int) -> list[Observed]:
    """Observations of the live blocks that touch the requests ``start <= offset < end``, in order."""
    low, high = ranges.bounds(cluster, "observations")[partition]
    begin = low
    if start > ranges.bounds(cluster, "requests")[partition][0]:
        begin = max(low, first_where(cluster, "observations", partition, lambda v: _head(v).last >= start) - _BESIDE)
    found, beyond = [], 0
    for block in ranges.read(cluster, "observations", partition, begin, high, rows_max=500):
        for one in map(Observed.read, (value or b"" for value in block.values), block.times):
            if one.head.topic == "requests":
                beyond += one.head.first >= end
                found += [one] if one.head.first < end and one.head.last >= start else []
        if beyond > _BESIDE:
            break
    return found


def _head(value: bytes | None) -> Head:
    return observation.decode(value or b"")[0]


def live_blocks(messages: Iterable[Observed]) -> list[list[Observed]]:
    """Observations grouped by the block of requests that they were made of: those whose offsets overlap."""
    blocks: list[list[Observed]] = []
    reach = -1
    for one in sorted(messages, key=lambda one: one.head.first):
        if one.head.first > reach:
            blocks.append([])
        blocks[-1].append(one)
        reach = max(reach, one.head.last)
    return blocks


def answered(messages: Iterable[Observed]) -> list[tuple[Place, str, Observed]]:
    """Every answered row with its id, in request order: the order of a partition of `predictions`."""
    rows = [
        (place, id_, one)
        for one in messages
        if one.answers
        for place, id_ in zip(one.places(), one.ids.to_pylist(), strict=True)
    ]
    rows.sort(key=lambda row: row[0])
    return rows


class _Id(msgspec.Struct):
    id: str


def predictions(cluster: Cluster, partition: int, messages: Sequence[Observed]) -> dict[Place, bytes]:
    """The predictions that left with some observations, by the place of their requests.

    A prediction does not name its request's offset, but those of a partition stand in request order: so the run of ids
    that the observations name is looked for near their time. Empty where it is not there (retention has taken it).
    """
    rows = answered(messages)
    if not rows:
        return {}
    times = [one.time for one in messages]
    starts = ranges.at_time(cluster, "predictions", min(times) - _TURN_MS_MAX)
    ends = ranges.at_time(cluster, "predictions", max(times) + _TURN_MS_MAX)
    values = [
        value or b""
        for block in ranges.read(cluster, "predictions", partition, starts[partition], ends[partition])
        for value in block.values
    ]
    decode = msgspec.json.Decoder(_Id).decode
    first = find_run([decode(value).id for value in values], [id_ for _, id_, _ in rows])
    if first is None:
        return {}
    return dict(zip((place for place, _, _ in rows), values[first : first + len(rows)], strict=True))


def find_run(within: Sequence[Any], run: Sequence[Any]) -> int | None:
    """Where a sequence begins within another.

    >>> find_run("abracadabra", "cad"), find_run("abc", "x")
    (4, None)
    """
    for at, one in enumerate(within):
        if one == run[0] and within[at : at + len(run)] == run:
            return at
    return None
