"""Redrive: dead letters go back where they came from, each once, whatever is killed in between.

A letter's bytes go to the partition where its record stood, with its key and headers, and in the same transaction a
mark that names the letter goes to the letters' own partition. Why a letter is never sent twice:

1. Whoever redrives opens the transactional id ``redrive`` first. That ends the predecessor's open transaction, and no
   later one of its can commit: from here on nobody else writes marks.
2. Then the marks are read, up to the partition's very end: not to where somebody's transaction stands open, but past
   it, waiting until it closes. So every mark that was ever committed is seen.
3. A letter without a mark is sent, and its mark with it, or neither is.
4. Marks lie behind their letters on the same partition, and retention takes a partition's oldest records first: as
   long as a letter is there, so is its mark. A topic of their own could not promise that.

What is sent again is a new request: without an id of its own it has a new one, and without a time it is of now.

Only requests and labels go back to their topics. A record of a topic that our own steps fill is read by several of
them, and all but the one that refused it have taken it: what the sink refused goes to the sink alone
(`streams.runtime.taken_again`), and what another step refused stays where it is.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import msgspec

from streams.kafka import ranges
from streams.kafka.admin import partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.stretch import Stretch, stretch
from streams.kafka.topics import FOREIGN, NAMES
from streams.runtime.taken_again import TOPICS, again
from streams.runtime.transactions import Aborted, Fenced, TransactionalProducer
from streams.wire.dead_letters import DEAD_LETTERS, Letter, history, letters, mark, marked
from streams.wire.effects import Publish

#: Topics that people fill, and where their labels wait: one step decides what becomes of a record.
PEOPLES = frozenset({"requests", "feedback", "feedback-waiting"})
_SINK = "sink"
#: Where a letter's record can be sent, or why it cannot be.
Way = Literal["back", "sink", "cut", "foreign", "ours"]

#: What one transaction sends at the most; it must end well before its time-out.
LETTERS_MAX = 500
BYTES_MAX = 4_000_000


class RedriveError(RuntimeError):
    """Letters could not be sent; the text says what was, and that running it again is safe."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are meant: those for which all holds that is given.

    ``topic`` is the one that their records came from; ``start`` and ``end`` are Kafka times or offsets of the letters
    as `streams.kafka.stretch.moment` reads them, the end excluded.
    """

    reason: str | None = None
    topic: str | None = None
    stage: str | None = None
    start: str | None = None
    end: str | None = None

    def __call__(self, letter: Letter) -> bool:
        """Whether a letter's reason, topic and stage are those that are meant."""
        wanted = ((self.reason, letter.reason), (self.topic, letter.topic), (self.stage, letter.stage))
        return all(wanted_value is None or wanted_value == value for wanted_value, value in wanted)


class Found:
    """The letters that a filter means, as they lie now, and which of them were sent again.

    Parameters
    ----------
    cluster
        Where they lie.
    which
        The filter.
    now_ms
        What its relative times count from.
    """

    def __init__(self, cluster: Cluster, which: Filter, now_ms: int) -> None:
        whole = ranges.bounds(cluster, DEAD_LETTERS, committed=False)
        self._cluster = cluster
        self._which = which
        self._stretch = stretch(cluster, DEAD_LETTERS, whole, which.start, which.end, now_ms)
        behind: Stretch = {p: (start, whole[p][1]) for p, (start, _) in self._stretch.items()}
        self._marked = marked(
            block for p, (start, end) in behind.items() for block in ranges.read(cluster, DEAD_LETTERS, p, start, end)
        )

    def __iter__(self) -> Iterator[Letter]:
        for partition, (start, end) in self._stretch.items():
            for block in ranges.read(self._cluster, DEAD_LETTERS, partition, start, end):
                yield from filter(self._which, letters(block))

    def sent_again(self, letter: Letter) -> bool:
        """Whether a letter was redriven before."""
        return (letter.partition, letter.offset) in self._marked


class Redriven(msgspec.Struct, kw_only=True):
    """What a redrive did: letters sent, those that had been sent before, the places of those that cannot be, because
    only their beginning was kept, and how many came from topics that somebody else fills (nothing of ours goes there),
    or that our own steps fill (sent again, they would be taken twice).
    """

    sent: int = 0
    before: int = 0
    cut: list[str] = []
    foreign: int = 0
    ours: int = 0


def redrive(
    cluster: Cluster,
    which: Filter,
    now_ms: int,
    dry_run: bool = False,
    on_progress: Callable[[int], None] = lambda sent: None,
    letters_max: int = LETTERS_MAX,
) -> Redriven:
    """Send the letters that a filter means back to where they came from, each once.

    Parameters
    ----------
    dry_run
        Send nothing; say what would be.
    on_progress
        Told after every transaction how many letters have been sent.
    letters_max
        Letters of one transaction at the most.

    Raises
    ------
    RedriveError
        The broker refused, or another redrive has begun meanwhile.
    """
    done = Redriven()
    # Before the marks are read: see the module's proof.
    producer = None if dry_run else TransactionalProducer(cluster, "redrive")
    try:
        if producer is not None:
            producer.end_dangling(NAMES)
        letters, counts = Found(cluster, which, now_ms), partition_counts(cluster)
        for batch in _batches(_due(letters, done), letters_max):
            if producer is not None:
                sent = [message for letter in batch for message in (_again(letter, counts), mark(letter))]
                producer.commit([], sent, None)
            done.sent += len(batch)
            on_progress(done.sent)
    except (Aborted, Fenced) as error:
        raise RedriveError(
            f"{error}; {done.sent} letters were sent: run the same again, none of them is sent twice"
        ) from error
    finally:
        if producer is not None:
            producer.close()
    return done


def way(letter: Letter) -> Way:
    """Where a letter's record can be sent, or why it cannot be. What a letter says, anybody may have written."""
    if letter.topic.startswith(FOREIGN):
        return "foreign"
    if letter.sha256:
        return "cut"
    if letter.stage == _SINK and letter.topic in TOPICS:
        return "sink"
    return "back" if letter.topic in PEOPLES else "ours"


def can_be_sent(letter: Letter) -> bool:
    """Whether a letter's record is whole, and there is a step that may take it again."""
    return way(letter) in ("back", "sink")


def _due(letters: Found, done: Redriven) -> Iterator[Letter]:
    for letter in letters:
        there = way(letter)
        if letters.sent_again(letter):
            done.before += 1
        elif there == "foreign":
            done.foreign += 1
        elif there == "ours":
            done.ours += 1
        elif there == "cut":
            done.cut.append(letter.place)
        else:
            yield letter


def _again(letter: Letter, partitions: Mapping[str, int]) -> Publish:
    """The record as it was, with word of where it has been."""
    if way(letter) == "sink":
        return again(letter)
    there = letter.source_partition < partitions.get(letter.topic, 0)  # else the topic was made again, with fewer
    partition = letter.source_partition if there else None
    return Publish(letter.topic, letter.value, letter.key, partition, [*letter.headers, *history(letter)])


def _batches(due: Iterator[Letter], letters_max: int) -> Iterator[list[Letter]]:
    batch: list[Letter] = []
    size = 0
    for letter in due:
        batch.append(letter)
        size += letter.size
        if len(batch) >= letters_max or size >= BYTES_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
