"""Portions: a micro-batch whose records ask for many answers each becomes several; answers bound memory."""

from collections.abc import Callable, Sequence

from streams.wire.block import Block

#: Tells how many answers each record of a block asks for; None where each asks for one.
Weigh = Callable[[Block], Sequence[int] | None]


def portions(blocks: list[Block], weigh: Weigh, answers_max: int) -> list[list[Block]]:
    """Cut blocks into portions that ask for at most so many answers, or hold a single record; order stays.

    >>> block = Block.of("requests", 0, [b"2", b"5", b"1", b"1", b"9"])
    >>> cut = portions([block], lambda block: [int(value) for value in block.values], 4)
    >>> [[part.values for part in portion] for portion in cut]
    [[[b'2']], [[b'5']], [[b'1', b'1']], [[b'9']]]
    """
    weights = [weigh(block) for block in blocks]
    if all(weight is None for weight in weights):
        return [blocks]
    cut: list[list[Block]] = []
    portion: list[Block] = []
    room = answers_max
    for block, weight in zip(blocks, weights, strict=True):
        first = 0
        for at, answers in enumerate(weight or [1] * len(block)):
            if answers > room and (portion or at > first):
                cut.append([*portion, block[first:at]] if at > first else portion)
                portion, room, first = [], answers_max, at
            room -= answers
        portion.append(block[first:])
    return [*cut, portion]
