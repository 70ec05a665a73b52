"""The join as a step: all partitions of a process share one memory of what was joined last.

A correction has to find its elder, which may be on its way to the store still. Whatever this process joined, it
remembers; what its predecessor joined, it reads from `outcomes`, past what the sink has committed, before it joins
anything. When partitions come, go, or are read again, the memory is made anew: nothing that was never committed stays.

What it remembers is bounded, and nothing is forgotten that the store does not have: where the sink is far behind, the
join waits for it.

`feedback` and `feedback-waiting` are read by one step in one transaction each time, so a label that waits and its
correction never meet in two places at once, if labels are keyed by their prediction's id.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from drift.labels.stage import Join, Recent
from streams.clock import ticks_ms
from streams.runtime.stage import Step
from streams.wire.block import Block
from streams.wire.effects import Effects
from streams.wire.records import Outcome

log = structlog.get_logger("drift.labels.step")

_outcome = msgspec.json.Decoder(Outcome).decode

#: Labels that are remembered, because the store may not have them yet; the join waits where there are more.
RECENT_MAX = 200_000
#: How often the sink's progress is asked for.
_ASK_MS = 1_000


class Outcomes(Protocol):
    """The topic `outcomes` and how much of it the store has: offsets by partition."""

    def ends(self) -> Mapping[int, int]:
        """Where it ends, behind all that was ever committed."""
        ...

    def stored(self) -> Mapping[int, int]:
        """What the sink reads next."""
        ...

    def unread(self) -> Iterable[Block]:
        """What the store does not have yet."""
        ...


class Joining(Step):
    """Joins labels with predictions.

    Parameters
    ----------
    join
        Makes the stage, given what was joined before.
    outcomes
        What was joined, and how much of it is stored.
    recent_max
        See `RECENT_MAX`.
    """

    def __init__(self, join: Callable[[Recent], Join], outcomes: Outcomes, recent_max: int = RECENT_MAX) -> None:
        self._make = join
        self._outcomes = outcomes
        self._recent_max = recent_max
        self._join: Join | None = None
        self._recent = Recent()
        self._until: Mapping[int, int] | None = None  # where the older generation ends
        self._stored = False  # and whether the store has it
        self._asked_ms = float(-_ASK_MS)
        self._why: str | None = None
        self._asking = threading.Lock()

    def held(self) -> str | None:
        """Why no label may be joined yet: more would be remembered than there is room for. Asked from any thread."""
        if self._asking.acquire(blocking=False):
            try:
                if ticks_ms() - self._asked_ms >= _ASK_MS:
                    self._why = self._behind()
                    self._asked_ms = ticks_ms()
            except Exception as error:  # the broker is away: what was known holds
                log.info("joining.not_asked", why=str(error))
            finally:
                self._asking.release()
        return self._why

    def _behind(self) -> str | None:
        older, younger = self._recent.sizes
        if self._join is None:
            stored = self._outcomes.stored()
            labels = sum(end - stored.get(partition, 0) for partition, end in self._outcomes.ends().items())
            full = labels > self._recent_max
        else:
            labels, full = older + younger, younger >= self._recent_max // 2
            until = self._until
            if until is None or self._stored:
                return None
            stored = self._outcomes.stored()
            self._stored = all(stored.get(partition, end) >= end for partition, end in until.items())
            full = full and not self._stored
        if not full:
            return None
        return f"the sink has not stored {labels:,} joined labels yet; a correction would be taken for a first label"

    def assign(self, topic: str, partition: int, position: int, memory: str) -> None:  # noqa: ARG002
        """See `Step.assign`; nothing is remembered, of any partition."""
        self._join = None

    def revoke(self, topic: str, partition: int) -> None:  # noqa: ARG002
        """Forget everything: a partition's labels are another's now."""
        self._join = None

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Join all blocks' labels."""
        if self._join is None:
            self._recent = _recent(self._outcomes.unread())
            self._until, self._stored = None, False
            self._join = self._make(self._recent)
        self._grow_old()
        return self._join.process_together(blocks)

    def _grow_old(self) -> None:
        """Forget what the store has: before it is asked, for what it has not said it must not be trusted to know."""
        if self._stored:
            self._recent.forget()
            self._until, self._stored = None, False
        older, younger = self._recent.sizes
        if not older and younger >= self._recent_max // 2:
            self._recent.begin()
        elif older and self._until is None:
            # A micro-batch later: what was processed before the generation ended is committed by now.
            self._until = self._outcomes.ends()


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
                recent.remember(outcome, outcome.label, outcome.label_ts)
    return recent
