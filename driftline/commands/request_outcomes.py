"""What became of records that were sent: answered, refused and why, or still waiting.

A step commits the offsets of a block in one transaction with all that follows from it. So a record is done as soon as
the group's offset stands behind it, and what is done and has no dead letter has been answered.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.kafka.group_offsets import committed
from streams.kafka.members import members
from streams.wire.dead_letters import DEAD_LETTERS, IN_WORDS, Letter, letters

#: Waiting ends when nothing was committed for so long.
STILL_S_MAX = 60.0
#: After so long without news, the group is asked whether it has a member at all.
NOBODY_S = 5.0
_LOOK_S = 0.2
#: Different reasons that are told.
_REASONS_MAX = 3

#: Offsets of records by partition, as ascending ranges ``[first, end]``.
Places = Mapping[int, Sequence[Sequence[int]]]


def count(sent: Places) -> int:
    """How many records there are.

    >>> count({0: [[5, 8], [10, 11]], 1: []})
    4
    """
    return sum(end - first for stretches in sent.values() for first, end in stretches)


def holds(sent: Places, partition: int, offset: int) -> bool:
    """Whether a record is among them.

    Parameters
    ----------
    sent
        Ranges in ascending order, that do not overlap: they are searched by halves.
    partition, offset
        Of the record; a partition that `sent` lacks has none.

    >>> [holds({0: [[5, 8], [10, 11]]}, 0, offset) for offset in (4, 5, 7, 8, 10, 11)]
    [False, True, True, False, True, False]
    """
    stretches = sent.get(partition, ())
    at = bisect_right(stretches, offset, key=lambda stretch: stretch[0]) - 1
    return at >= 0 and offset < stretches[at][1]


class Refusals(msgspec.Struct):
    """Records refused for one reason; ``field`` and ``detail`` are those of the first, ``place`` its dead letter's."""

    reason: str
    records: int
    field: str
    detail: str
    place: str


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """How many records were answered, how many refused, and how many wait; the refused ones by reason, most first."""

    answered: int = 0
    refused: int = 0
    waiting: int = 0
    refusals: list[Refusals] = []


class Followed:
    """Follows records of a topic that are about to be sent; make one before the first record is sent.

    Parameters
    ----------
    group
        Who commits them: ``score`` the requests, ``join`` the labels.
    """

    def __init__(self, cluster: Cluster, topic: str, group: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._group = group
        self._letters_from = {p: end for p, (_, end) in ranges.bounds(cluster, DEAD_LETTERS).items()}

    def wait(
        self, sent: Places, on_progress: Callable[[int], None] = lambda _: None, for_s: float | None = None
    ) -> Outcomes:
        """Wait until all are done, none has been for `STILL_S_MAX`, or no member of the group is there.

        Parameters
        ----------
        for_s
            Wait no longer than this; None sets no end.
        on_progress
            Given how many are done.
        """
        total = count(sent)
        done, moved = -1, time.monotonic()
        until = None if for_s is None else moved + for_s
        while True:
            now_done = self._done(sent)
            if now_done != done:
                done, moved = now_done, time.monotonic()
                on_progress(done)
            still_s = time.monotonic() - moved
            alone = still_s > NOBODY_S and not members(self._cluster, self._group)
            over = until is not None and time.monotonic() > until
            if done == total or still_s > STILL_S_MAX or alone or over:
                return self.now(sent)
            time.sleep(_LOOK_S)

    def now(self, sent: Places) -> Outcomes:
        """What became of them until now."""
        done = self._done(sent)  # First: the dead letters of what is done are there.
        kinds: dict[str, Refusals] = {}
        for letter in self._letters():
            if holds(sent, letter.source_partition, letter.source_offset):
                fresh = Refusals(letter.reason, 0, letter.field, letter.detail, letter.place)
                kinds.setdefault(letter.reason, fresh).records += 1
        refusals = sorted(kinds.values(), key=lambda refusal: -refusal.records)
        refused = sum(refusal.records for refusal in refusals)
        done = max(done, refused)
        return Outcomes(answered=done - refused, refused=refused, waiting=count(sent) - done, refusals=refusals)

    def _done(self, sent: Places) -> int:
        behind = committed(self._cluster, self._group, self._topic)
        return sum(
            max(0, min(end, behind.get(partition, 0)) - first)
            for partition, stretches in sent.items()
            for first, end in stretches
        )

    def _letters(self) -> Iterator[Letter]:
        """Dead letters of the topic since the beginning; waits for transactions that are open now."""
        for partition, (low, end) in ranges.bounds(self._cluster, DEAD_LETTERS, committed=False).items():
            start = max(low, self._letters_from.get(partition, low))
            for block in ranges.read(self._cluster, DEAD_LETTERS, partition, start, end):
                yield from (letter for letter in letters(block) if letter.topic == self._topic)


def in_words(outcomes: Outcomes, what: str) -> list[str]:
    """Say what became of records, the first reasons in words, and where to look further.

    >>> first = Refusals("missing_field", 12, "$.age", "Object missing required field `age`", "dead-letters/0/7")
    >>> print(*in_words(Outcomes(answered=88, refused=12, refusals=[first]), "requests"), sep="\\n")
    88 answered, 12 REFUSED
      12 missing_field: a required field is missing; send it, or make it optional in model.toml
         the first: $.age: Object missing required field `age`
         driftline dead-letters show dead-letters/0/7
    """
    done = "answered" if what == "requests" else "taken"
    parts = [f"{outcomes.answered:,} {done}"]
    parts += [f"{outcomes.refused:,} REFUSED"] if outcomes.refused else []
    parts += [f"{outcomes.waiting:,} wait"] if outcomes.waiting else []
    lines = [", ".join(parts)]
    for refusal in outcomes.refusals[:_REASONS_MAX]:
        meaning = IN_WORDS.get(refusal.reason, "a reason of another version")  # type: ignore[call-overload]
        lines += [
            f"  {refusal.records:,} {refusal.reason}: {meaning}",
            f"     the first: {refusal.field}: {refusal.detail}",
            f"     driftline dead-letters show {refusal.place}",
        ]
    if more := len(outcomes.refusals) - _REASONS_MAX:
        lines += [f"  and {more} more reasons: `driftline dead-letters list`"] if more > 0 else []
    return lines
