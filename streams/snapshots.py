"""State that moves: a stage is restored by its newest snapshot and a refold of what came after it.

A snapshot is written inside a settlement, in chunks and a manifest that names the input position, so it is there
exactly if that position is committed. An old snapshot is slow, never wrong.
"""

import hashlib
from collections.abc import Callable, Sequence

import msgspec
import structlog

from streams import ranges
from streams.block import Block
from streams.clock import ticks_ms
from streams.cluster import Cluster
from streams.records import FORMAT
from streams.stage import Effects, Publish, Stateful

log = structlog.get_logger("streams.snapshots")

CHUNK_BYTES_MAX = 900_000


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The last message of a snapshot: which input it covers, how many chunks it has, their sha256."""

    topic: str
    partition: int
    position: int
    chunks: int
    sha256: str
    format: int = FORMAT


class SnapshotError(RuntimeError):
    """A snapshot that this version cannot read."""


def write(topic: str, partition: int, position: int, snapshot: bytes) -> list[Publish]:
    """Messages of one snapshot, manifest last.

    >>> [m.key for m in write("counts", 0, 17, b"state")]
    [b'counts/0/0', b'counts/0']
    """
    pieces = [snapshot[i : i + CHUNK_BYTES_MAX] for i in range(0, len(snapshot), CHUNK_BYTES_MAX)] or [b""]
    key = f"{topic}/{partition}"
    headers = [("position", str(position).encode())]
    digest = hashlib.sha256(snapshot).hexdigest()
    manifest = Manifest(topic=topic, partition=partition, position=position, chunks=len(pieces), sha256=digest)
    chunks = [
        Publish("snapshots", piece, key=f"{key}/{i}".encode(), partition=partition, headers=headers)
        for i, piece in enumerate(pieces)
    ]
    return [*chunks, Publish("snapshots", msgspec.json.encode(manifest), key=key.encode(), partition=partition)]


def newest(blocks: Sequence[Block], topic: str, partition: int, position: int) -> tuple[int, bytes] | None:
    """The newest whole snapshot at or before an input position, among blocks of `snapshots`.

    Raises
    ------
    SnapshotError
        It has a format number that this version does not know.

    >>> messages = write("counts", 0, 17, b"state")
    >>> block = Block("snapshots", 0, [0, 1], [0, 0], *zip(*((m.key, m.value, m.headers) for m in messages)))
    >>> newest([block], "counts", 0, 20), newest([block], "counts", 0, 16)
    ((17, b'state'), None)
    """
    key = f"{topic}/{partition}"
    chunks: dict[tuple[bytes, bytes], bytes] = {}
    manifests: list[Manifest] = []
    for block in blocks:
        for name, value, headers in zip(block.keys, block.values, block.headers, strict=True):
            if name == key.encode() and value is not None:
                manifests.append(_manifest(value))
            elif name is not None and name.startswith(f"{key}/".encode()) and value is not None:
                chunks[name, dict(headers or ())["position"]] = value
    for manifest in sorted(manifests, key=lambda m: -m.position):
        at = str(manifest.position).encode()
        whole = [chunks.get((f"{key}/{i}".encode(), at)) for i in range(manifest.chunks)]
        if manifest.position <= position and all(piece is not None for piece in whole):
            snapshot = b"".join(piece for piece in whole if piece is not None)
            if hashlib.sha256(snapshot).hexdigest() == manifest.sha256:
                return manifest.position, snapshot
    return None


def _manifest(value: bytes) -> Manifest:
    manifest = msgspec.json.decode(value, type=Manifest)
    if manifest.format != FORMAT:
        raise SnapshotError(
            f"snapshot of {manifest.topic}/{manifest.partition} has format {manifest.format}, this version reads "
            f"{FORMAT}; start the version that wrote it, or the one that upgrades it"
        )
    return manifest


class Restored:
    """A step of `Stateful` stages, one a partition.

    Parameters
    ----------
    cluster
        Where the input and the snapshots lie.
    make
        Makes an empty stage for a partition.
    interval_ms_max
        A snapshot is written with the first settlement after this long.
    """

    def __init__(self, cluster: Cluster, make: Callable[[str, int], Stateful], interval_ms_max: int = 60_000) -> None:
        self._cluster = cluster
        self._make = make
        self._interval_ms = interval_ms_max
        self.stages: dict[tuple[str, int], Stateful] = {}
        self._taken_ms: dict[tuple[str, int], float] = {}

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:  # noqa: ARG002
        """Restore the newest snapshot and fold up to ``position``; those effects were committed and are dropped."""
        stage = self._make(topic, partition)
        low, high = ranges.bounds(self._cluster, "snapshots")[partition]
        found = newest(list(ranges.read(self._cluster, "snapshots", partition, low, high)), topic, partition, position)
        start = ranges.bounds(self._cluster, topic)[partition][0]
        if found:
            start = max(start, found[0])
            stage.restore(found[1])
        for block in ranges.read(self._cluster, topic, partition, start, position):
            stage.fold(block)
        log.info("snapshots.restored", topic=topic, partition=partition, refolded=position - start)
        self.stages[topic, partition] = stage
        self._taken_ms[topic, partition] = ticks_ms()

    def revoke(self, topic: str, partition: int) -> None:
        """Forget a partition."""
        self.stages.pop((topic, partition), None)

    def fold(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Fold each block; where one is due, a snapshot leaves with it."""
        return [self._fold(block) for block in blocks]

    def _fold(self, block: Block) -> Effects:
        place = (block.topic, block.partition)
        stage = self.stages[place]
        effects = stage.fold(block)
        if ticks_ms() - self._taken_ms[place] < self._interval_ms:
            return effects
        self._taken_ms[place] = ticks_ms()
        return Effects([*effects.publish, *write(*place, block.last + 1, stage.snapshot())], effects.memory)

    def idle(self, topic: str, partition: int, after_ms: int) -> Effects:  # noqa: ARG002
        """Nobody asks."""
        return Effects()
