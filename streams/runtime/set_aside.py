"""Records set aside: a step that meets a record that it can never process makes a dead letter of it and goes on.

The letters leave in the commit of the record's block, so each record is set aside once, whatever is killed in
between. Every record is counted; a person is told of the first of each kind and place, and can read the rest from
`dead-letters`. What is merely away (a broker, a store, a registry) is never set aside: it is waited for.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from streams.clock import now_ms
from streams.runtime.facts import RecordSetAside
from streams.wire.block import Block
from streams.wire.dead_letters import IN_WORDS, dead_letter, further
from streams.wire.effects import Publish
from streams.wire.refusals import Refusal

#: Kinds and places that are remembered; of more the oldest are forgotten, and told again.
KINDS_MAX = 200

#: Topic, partition, reason, model.
_Kind = tuple[str, int, str, str]


class SetAside:
    """What one step has set aside.

    Parameters
    ----------
    step
        The step's name, as dead letters, logs and metrics have it: ``count``, ``sink``.
    now_ms
        When something is told; nothing but people's notes depends on it.
    """

    def __init__(self, step: str, now_ms: Callable[[], int] = now_ms) -> None:
        self._step = step
        self._now_ms = now_ms
        self._many: Counter[_Kind] = Counter()
        self._notes: dict[_Kind, tuple[int, str]] = {}

    def __call__(self, block: Block, refused: Sequence[Refusal]) -> list[Publish]:
        """Make the dead letters of a block's refusals; count them, and tell of those of a new kind or place."""
        self.tell(block, refused)
        return letters_of(block, refused, self._step)

    def tell(self, block: Block, refused: Iterable[Refusal]) -> None:
        """Count refusals, and tell of those of a new kind or place."""
        for refusal in refused:
            kind = (block.topic, block.partition, refusal.reason, refusal.model)
            remedy = IN_WORDS[refusal.reason].partition("; ")[2]
            record = block.place(refusal.at)
            fact = RecordSetAside(self._step, block.topic, refusal.reason, record, refusal.detail, remedy)
            fact.count()
            if kind not in self._notes:
                fact.log()
            self._many[kind] += 1
            self._note(kind, block, refusal)

    def _note(self, kind: _Kind, block: Block, refusal: Refusal) -> None:
        self._notes.pop(kind, None)
        n = self._many[kind]
        records = f"{n:,} record{'' if n == 1 else 's'} of {block.topic}/{block.partition}"
        note = f"{records} set aside as {refusal.reason}, the last {block.place(refusal.at)}: {refusal.detail[:300]}"
        self._notes[kind] = (self._now_ms(), note)
        if len(self._notes) > KINDS_MAX:
            oldest = next(iter(self._notes))
            del self._notes[oldest], self._many[oldest]

    def notes(self) -> list[tuple[int, str]]:
        """When the last record of each kind and place was set aside, ms, and a sentence about them."""
        return list(self._notes.values())


def letters_of(block: Block, refused: Iterable[Refusal], step: str) -> list[Publish]:
    """Make the dead letters of a block's refusals; of several of one record the first alone keeps its bytes.

    Parameters
    ----------
    refused
        Refusals with positions in the block.
    step
        Name of the step, which letters name as their stage.

    >>> block = Block.of("counts", 2, [b"{"], first=40)
    >>> [letter.value for letter in letters_of(block, [Refusal(0, "undecodable", "$", "cut")] * 2, "count")]
    [b'{', b'']
    """
    letters: list[Publish] = []
    firsts: dict[int, Publish] = {}
    for refusal in refused:
        letter = dead_letter(block, refusal, step)
        first = firsts.setdefault(refusal.at, letter)
        letters.append(letter if first is letter else further(letter, first))
    return letters
