"""Where a stretch of requests begins and ends in a partition of `counts`."""

from drift.reference.catalogue import Catalogue, Unwatched
from driftline.replay.recording import Recording
from streams.wire.records import CountsMessage, PartialCounts


class Extent:
    """Knows which recorded counts are about the stretch, and when the last of them has come.

    Counts of several models, versions and source partitions lie among one another; each ends for itself.
    """

    def __init__(self, recording: Recording, catalogue: Catalogue) -> None:
        self._whole = recording.whole
        self._models: set[str] = set()
        #: Last offset of the stretch that a version was observed with and whose counts have not come, by partition.
        self._open: dict[tuple[str, str, int], int] = {}
        for head in (message.head for message in recording.observations):
            if _is_counted(catalogue, head.model, head.version):
                key = (head.model, head.version, head.partition)
                self._open[key] = max(head.last, self._open.get(key, 0))

    def touches(self, message: CountsMessage) -> bool:
        """Whether a message counts requests of the stretch."""
        if not isinstance(message, PartialCounts) or message.topic != "requests":
            return False
        first, end = self._whole.get(message.partition, (0, 0))
        return first <= message.first and message.last < end

    @property
    def models(self) -> list[str]:
        """Models whose counts have come."""
        return sorted(self._models)

    def observe(self, message: CountsMessage) -> None:
        """Note that a message has come."""
        if not isinstance(message, PartialCounts):
            return
        if self.touches(message):
            self._models.add(message.model)
        key = (message.model, message.version, message.partition)
        if message.watermark_ms is not None and message.last >= self._open.get(key, message.last + 1):
            del self._open[key]

    @property
    def is_over(self) -> bool:
        """Whether the last counts of every model that has any here have come."""
        return not any(model in self._models for model, _, _ in self._open)


def _is_counted(catalogue: Catalogue, model: str, version: str) -> bool:
    """Whether a version has a reference."""
    try:
        catalogue(model, version)
    except Unwatched:
        return False
    return True
