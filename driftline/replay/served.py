"""What was served: observations, which name their requests, and the predictions that left with them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from streams.wire import observation
from streams.wire.block import Block
from streams.wire.observation import Head

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

    @property
    def by_fallback(self) -> bool:
        """Whether somebody answered them for a version that was away."""
        return self.role == "fallback"

    def places(self) -> Iterator[Place]:
        """Places of its rows."""
        return zip(self.offsets.tolist(), self.rows.tolist(), strict=True)


def live_blocks(messages: Iterable[Observed]) -> list[list[Observed]]:
    """Observations grouped by the block of requests that they were made of: those whose offsets overlap."""
    blocks: list[list[Observed]] = []
    reach = -1
    for message in sorted(messages, key=lambda message: message.head.first):
        if message.head.first > reach:
            blocks.append([])
        blocks[-1].append(message)
        reach = max(reach, message.head.last)
    return blocks


def answered(messages: Iterable[Observed]) -> list[tuple[Place, str, Observed]]:
    """Every answered row with its id, in request order: the order of a partition of `predictions`."""
    rows = [
        (request, id_, message)
        for message in messages
        if message.answers
        for request, id_ in zip(message.places(), message.ids.to_pylist(), strict=True)
    ]
    rows.sort(key=lambda row: row[0])
    return rows


class _Id(msgspec.Struct):
    id: str


_id = msgspec.json.Decoder(_Id).decode


def predictions(blocks: Iterable[Block], messages: Iterable[Observed]) -> dict[Place, bytes]:
    """The predictions that left with some observations, by the place of their requests.

    A prediction does not name its request's offset, but those of a partition stand in request order: so the run of ids
    that the observations name is looked for. Empty where it is not there (retention has taken it).
    """
    rows = answered(messages)
    if not rows:
        return {}
    values = [value or b"" for block in blocks for value in block.values]
    first = find_run([_id(value).id for value in values], [id_ for _, id_, _ in rows])
    if first is None:
        return {}
    return dict(zip((request for request, _, _ in rows), values[first : first + len(rows)], strict=True))


def find_run(within: Sequence[Any], run: Sequence[Any]) -> int | None:
    """Where a sequence begins within another.

    >>> find_run("abracadabra", "cad"), find_run("abc", "x")
    (4, None)
    """
    for at, item in enumerate(within):
        if item == run[0] and within[at : at + len(run)] == run:
            return at
    return None
