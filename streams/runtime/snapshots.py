"""State that moves: a stage is restored by its newest snapshot and the records that came after it.

A snapshot is written inside a commit, in chunks and a manifest that names the input position, so it is there
exactly if that position is committed. An old snapshot is slow, never wrong: what it lacks is processed again. So
a partition that falls silent is written once more, before retention takes what would be processed again; and where that
has gone all the same, nothing begins with a part of its state.
"""

import hashlib
from collections.abc import Callable, Sequence

import msgspec
import structlog

from streams.clock import ticks_ms
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.runtime.facts import SnapshotRestored
from streams.runtime.stage import Stateful, Step
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish
from streams.wire.records import FORMAT

log = structlog.get_logger("streams.runtime.snapshots")

CHUNK_BYTES_MAX = 900_000

#: Topic and partition.
Place = tuple[str, int]


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


class StateLost(RuntimeError):
    """Neither a snapshot nor the log has all that a stage's state is made of."""


class _Memory(msgspec.Struct, frozen=True):
    """What travels with the offset: the first record that the state is made of, where no snapshot is."""

    since: int


def write(topic: str, partition: int, position: int, snapshot: bytes) -> list[Publish]:
    """Messages of one snapshot, manifest last.

    Parameters
    ----------
    topic, partition
        The input whose state it is.
    position
        Offset of the first record that the state has not seen.
    snapshot
        The state, of any size; it is cut into messages that Kafka takes.

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
    """The newest whole snapshot at or before an input position, among blocks of `snapshots`; what else lies there is
    passed over.

    Parameters
    ----------
    blocks
        Records of `snapshots`, in any order of partitions.
    topic, partition
        The input whose state is wanted.
    position
        Largest input position that will do.

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
                manifests += _manifests(value)
            elif name is not None and name.startswith(f"{key}/".encode()) and value is not None:
                chunks[name, dict(headers or ()).get("position", b"")] = value
    for manifest in sorted(manifests, key=lambda m: -m.position):
        if manifest.position > position or not 0 <= manifest.chunks <= len(chunks):
            continue
        if manifest.format != FORMAT:
            raise SnapshotError(
                f"snapshot of {key} has format {manifest.format}, this version reads {FORMAT}; start the version that "
                "wrote it, or the one that upgrades it"
            )
        at = str(manifest.position).encode()
        whole = [chunks.get((f"{key}/{i}".encode(), at)) for i in range(manifest.chunks)]
        if all(piece is not None for piece in whole):
            snapshot = b"".join(piece for piece in whole if piece is not None)
            if hashlib.sha256(snapshot).hexdigest() == manifest.sha256:
                return manifest.position, snapshot
    return None


def _manifests(value: bytes) -> list[Manifest]:
    """The manifest that a record holds, if it holds one."""
    try:
        return [msgspec.json.decode(value, type=Manifest)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.warning("snapshots.no_manifest", why=str(error))
        return []


class Restored(Step):
    """A step of `Stateful` stages, one a partition.

    Parameters
    ----------
    cluster
        Where the input and the snapshots lie.
    make
        Makes an empty stage for a partition.
    interval_ms_max
        A snapshot is written with the first commit after this long.
    accept_gap
        Begin with what is left, instead of refusing, where a part of the state is lost.
    clock
        Monotonic time, ms.
    """

    def __init__(
        self,
        cluster: Cluster,
        make: Callable[[str, int], Stateful],
        interval_ms_max: int = 60_000,
        accept_gap: bool = False,
        clock: Callable[[], float] = ticks_ms,
    ) -> None:
        self._clock = clock
        self._cluster = cluster
        self._make = make
        self._interval_ms = interval_ms_max
        self._accept_gap = accept_gap
        self.stages: dict[Place, Stateful] = {}
        self._taken_ms: dict[Place, float] = {}
        self._memory: dict[Place, str] = {}
        self._unwritten: dict[Place, int] = {}  # the offset behind what no snapshot covers

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:
        """See `Step.assign`. Restores the newest snapshot and goes on to ``position``; those effects were committed.

        Raises
        ------
        SnapshotError
            The snapshot is another version's.
        StateLost
            Retention has taken records that no snapshot covers.
        Away
            Something that the stage needs does not answer: assign again.
        """
        topic_partition = (topic, partition)
        first, end = ranges.bounds(self._cluster, "snapshots")[partition]
        blocks = list(ranges.read(self._cluster, "snapshots", partition, first, end))
        snapshot = newest(blocks, topic, partition, position)
        low = ranges.bounds(self._cluster, topic)[partition][0]
        since = _since(memory, low if position == low else 0)
        start = snapshot[0] if snapshot else since
        if start < low:
            self._accept(topic_partition, start, low, snapshot is not None)
            start, since = low, since if snapshot else low
        self.stages[topic_partition] = self._restored(
            topic_partition, snapshot[1] if snapshot else None, start, position
        )
        self._taken_ms[topic_partition] = self._clock()
        self._memory[topic_partition] = msgspec.json.encode(_Memory(since)).decode()
        self._unwritten |= {topic_partition: position} if position > start else {}

    def _restored(self, topic_partition: Place, snapshot: bytes | None, start: int, position: int) -> Stateful:
        """Make a stage of its snapshot and what came after it."""
        stage = self._make(*topic_partition)
        if snapshot is not None:
            stage.restore(snapshot)
        for block in ranges.read(self._cluster, *topic_partition, start, position):
            stage.process(block)
        SnapshotRestored(*topic_partition, processed=position - start).tell()
        return stage

    def _accept(self, topic_partition: Place, start: int, low: int, snapshot: bool) -> None:
        """Go on without records that are gone, if the operator says so."""
        had = f"the newest snapshot covers what is before {start}" if snapshot else "there is no snapshot of it"
        text = (
            f"{topic_partition[0]}/{topic_partition[1]}: {had}, and retention has taken offsets {start} to {low - 1}, "
            "which its state is made of; bring back the topic `snapshots`, "
            f"or set kafka.accept_gap=true to begin at {low} without them"
        )
        if not self._accept_gap:
            raise StateLost(text)
        log.error("snapshots.gap", what=text, records_max=low - start)

    def revoke(self, topic: str, partition: int) -> None:
        """Forget a partition."""
        self.stages.pop((topic, partition), None)
        self._unwritten.pop((topic, partition), None)

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Process each block; where one is due, a snapshot leaves with it."""
        return [self._process(block) for block in blocks]

    def _process(self, block: Block) -> Effects:
        topic_partition = (block.topic, block.partition)
        publish = self.stages[topic_partition].process(block).publish
        self._unwritten[topic_partition] = block.last + 1
        if self._clock() - self._taken_ms[topic_partition] >= self._interval_ms:
            publish = [*publish, *self._write(topic_partition)]
        return Effects(publish, self._memory[topic_partition])

    def idle(self, topic: str, partition: int) -> Effects:
        """Write what was processed since the last snapshot."""
        topic_partition = (topic, partition)
        return Effects(
            self._write(topic_partition) if topic_partition in self._unwritten else (), self._memory[topic_partition]
        )

    def _write(self, topic_partition: Place) -> list[Publish]:
        self._taken_ms[topic_partition] = self._clock()
        return write(*topic_partition, self._unwritten.pop(topic_partition), self.stages[topic_partition].snapshot())


def _since(memory: str, default: int) -> int:
    """The first record that the state is made of; those who committed before it was kept say nothing."""
    return msgspec.json.decode(memory, type=_Memory).since if memory else default
