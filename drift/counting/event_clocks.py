"""How far event time has come, kept from one commit to the next: beside the offset, or in records.

An offset's metadata has room for 4 kB, which is some 70 models on one partition of `observations`. Where that is not
enough, the metadata says so and the clocks of each model are a record on the compacted topic `snapshots`, written in
the commit that moves them. Clocks never go back, so of several records of a model each clock's furthest holds,
whatever compaction has left and wherever they lie.
"""

from collections.abc import Callable, Iterable

import msgspec
import structlog

from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.records import FORMAT

log = structlog.get_logger("drift.counting.event_clocks")

TOPIC = "snapshots"
#: Kafka keeps no more beside an offset.
MEMORY_BYTES_MAX = 4096
#: Versions of a model whose clocks are kept for a source partition; of more those furthest behind are forgotten.
VERSIONS_MAX = 64

#: Running maxima of event time: model -> source "topic/partition" -> version -> ms.
Maxima = dict[str, dict[str, dict[str, int]]]

_IN_RECORDS = '"records"'


class _Clocks(msgspec.Struct, frozen=True):
    clocks: dict[str, dict[str, int]]
    format: int = FORMAT


class EventClocks:
    """The clocks of one partition of `observations`.

    Parameters
    ----------
    partition
        Which one.
    memory
        What the last commit left beside the offset.
    records
        What lies on `snapshots`; asked for where ``memory`` says that they are there.

    >>> clocks = EventClocks(0)
    >>> clocks.reach("m", "requests/0", "v1", 60_000)
    >>> clocks.to_commit()
    ('{"m":{"requests/0":{"v1":60000}}}', [])
    """

    def __init__(self, partition: int, memory: str = "", records: Callable[[], Iterable[Block]] = tuple) -> None:
        self._prefix = f"event-clocks/{partition}/".encode()
        self._in_records = memory == _IN_RECORDS
        self._changed: set[str] = set()
        self.maxima: Maxima = {}
        if self._in_records:
            self.maxima = self._read(records())
        elif memory:
            self.maxima = msgspec.json.decode(memory, type=Maxima)

    def reached(self, model: str, source: str, version: str) -> int | None:
        """Where a version's clock stands in a source partition, ms; None before its first row.

        Parameters
        ----------
        source
            Topic and partition of the requests, as observations name them.
        """
        return self.maxima.get(model, {}).get(source, {}).get(version)

    def reach(self, model: str, source: str, version: str, ms: int) -> None:
        """Move a clock. Of too many versions those furthest behind are forgotten: one that speaks again begins anew,
        and the judge takes what it brings for closed windows as late all the same.

        Parameters
        ----------
        source
            Topic and partition of the requests, as observations name them.
        ms
            Event time, ms UTC.
        """
        versions = self.maxima.setdefault(model, {}).setdefault(source, {})
        if versions.get(version) == ms:
            return
        versions[version] = ms
        while len(versions) > VERSIONS_MAX:
            del versions[min((name for name in versions if name != version), key=lambda name: (versions[name], name))]
        self._changed.add(model)

    def to_commit(self) -> tuple[str, list[Publish]]:
        """What is to be committed with the offset: its metadata, and records."""
        changed, self._changed = self._changed, set()
        if not self._in_records:
            memory = msgspec.json.encode(self.maxima)
            if len(memory) <= MEMORY_BYTES_MAX:
                return memory.decode(), []
            self._in_records, changed = True, {*self.maxima}
        return _IN_RECORDS, [
            Publish(TOPIC, msgspec.json.encode(_Clocks(self.maxima[model])), key=self._prefix + model.encode())
            for model in sorted(changed)
        ]

    def _read(self, records: Iterable[Block]) -> Maxima:
        """The furthest clocks of each model; what is none of ours is passed over."""
        maxima: Maxima = {}
        for block in records:
            for at, (key, value) in enumerate(zip(block.keys, block.values, strict=True)):
                if key is None or not key.startswith(self._prefix):
                    continue
                try:
                    message = _decode(value or b"")
                    if message.format != FORMAT:
                        raise ValueError(f"format {message.format}, this version reads {FORMAT}")
                    sources = maxima.setdefault(key.removeprefix(self._prefix).decode(), {})
                except (ValueError, RecursionError) as error:
                    log.warning("event_clocks.passed_over", place=block.place(at), why=str(error))
                    continue
                for source, versions in message.clocks.items():
                    known = sources.setdefault(source, {})
                    known |= {name: max(ms, known.get(name, ms)) for name, ms in versions.items()}
        return maxima


_decode = msgspec.json.Decoder(_Clocks).decode
