"""The join as a step: all partitions of a process share one memory of what was joined last.

A correction has to find its elder, which may be on its way to the store still. Whatever this process joined, it
remembers; what its predecessor joined, it reads from `outcomes`, past what the sink has settled, before it joins
anything. When partitions come, go, or are read again, the memory is made anew: nothing that was never settled stays.

`feedback` and `feedback-waiting` are read by one step in one transaction each turn, so a label that waits and its
correction never meet in two places at once, if labels are keyed by their prediction's id.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec
import structlog

from drift.join import Join, Recent
from streams.block import Block
from streams.records import Outcome
from streams.stage import Effects

log = structlog.get_logger("drift.joining")

_outcome = msgspec.json.Decoder(Outcome).decode

#: Gives the blocks of `outcomes` that the store does not have yet.
Unstored = Callable[[], Iterable[Block]]


class Joining:
    """A `Step` that joins labels with predictions.

    Parameters
    ----------
    join
        Makes the stage, given what was joined before.
    unstored
        Asked once after partitions have come, before the first label is joined.
    """

    def __init__(self, join: Callable[[Recent], Join], unstored: Unstored) -> None:
        self._make = join
        self._unstored = unstored
        self._join: Join | None = None

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:  # noqa: ARG002
        """Begin a partition, and remember nothing."""
        self._join = None

    def revoke(self, topic: str, partition: int) -> None:  # noqa: ARG002
        """Forget everything: a partition's labels are another's now."""
        self._join = None

    def fold(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Join all blocks' labels."""
        if self._join is None:
            self._join = self._make(_recent(self._unstored()))
        return self._join.fold_together(blocks)

    def idle(self, topic: str, partition: int, after_ms: int) -> Effects:  # noqa: ARG002
        """A silent partition asks for nothing."""
        return Effects()


def _recent(blocks: Iterable[Block]) -> Recent:
    """What was joined, out of blocks of `outcomes`."""
    recent = Recent()
    for block in blocks:
        for at, value in enumerate(block.values):
            try:
                outcome = _outcome(value or b"")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                # None of ours, and the sink's to set aside: it reads the topic, too.
                log.warning("joining.no_outcome", place=block.place(at), why=str(error))
                continue
            if outcome.sign > 0:
                recent.take(outcome, outcome.label, outcome.label_ts)
    return recent
