"""Records that the sink is to take again, and nobody else: what it alone had set aside, once the cause is mended.

On its own topic such a record would be taken a second time by every other step that reads it, so it travels on the
letters' topic, which the sink reads too, with a header that says where it stood.
"""

from streams.wire.block import Block
from streams.wire.dead_letters import DEAD_LETTERS, OFFSET_MAX, PLACE, PREFIX, Letter, history, number_of
from streams.wire.effects import Headers, Publish

#: Topics that the sink reads, but for that of the letters themselves.
TOPICS = frozenset({"alerts", "reports", "retraining", "counts", "outcomes", "feedback", "observations"})
_AGAIN = f"{PREFIX}again"


def again(letter: Letter) -> Publish:
    """Hand a record to the sink once more.

    On its own topic other steps, which have taken it, would take it twice.
    """
    ms = "" if letter.source_ms is None else letter.source_ms
    to = (_AGAIN, f"{letter.topic}/{letter.source_partition}/{letter.source_offset}/{ms}".encode())
    return Publish(DEAD_LETTERS, letter.value, letter.key, letter.partition, [*letter.headers, *history(letter), to])


def again_place(headers: Headers | None) -> tuple[str, int, int, int | None] | None:
    """Where a record stood that the sink is to take again: topic, partition, offset, Kafka's time (ms), if it is known.

    None for every other record, also for one that anybody wrote.
    """
    for name, value in headers or ():
        if name == _AGAIN and value.count(b"/") == len(PLACE) + 1:
            topic, *numbers, ms = value.decode("utf-8", "replace").split("/")
            partition, offset = (number_of(text, most) for text, (_, most) in zip(numbers, PLACE, strict=True))
            if partition is not None and offset is not None and topic in TOPICS:
                return topic, partition, offset, number_of(ms, OFFSET_MAX)
    return None


def taken_again(block: Block) -> list[tuple[list[int], Block]]:
    """The records of a block that the sink is to take again, as blocks of where they stood, and their places in it."""
    places: dict[tuple[str, int], list[int]] = {}
    for at, headers in enumerate(block.headers):
        if (origin := again_place(headers)) is not None:
            places.setdefault(origin[:2], []).append(at)
    return [(several, _stood(block, topic, partition, several)) for (topic, partition), several in places.items()]


def _stood(block: Block, topic: str, partition: int, several: list[int]) -> Block:
    offsets, times, headers = [], [], []
    for at in several:
        origin = again_place(block.headers[at])
        assert origin is not None, at
        offsets.append(origin[2])
        times.append(block.times[at] if origin[3] is None else origin[3])
        headers.append([header for header in block.headers[at] or () if header[0] != _AGAIN])
    keys, values = ([column[at] for at in several] for column in (block.keys, block.values))
    return Block(topic, partition, offsets, times, keys, values, headers)
