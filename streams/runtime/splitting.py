"""Splitting: a micro-batch whose records ask for many answers each becomes several; answers bound memory."""

from collections.abc import Callable, Sequence

from streams.wire.block import Block

#: Tells how many answers each record of a block asks for; None where each asks for one.
Weigh = Callable[[Block], Sequence[int] | None]


def split(blocks: list[Block], weigh: Weigh, answers_max: int) -> list[list[Block]]:
    """Split blocks into parts that ask for at most so many answers, or hold a single record; order stays.

    Parameters
    ----------
    blocks
        Of one micro-batch.
    weigh
        See `Weigh`.
    answers_max
        Of one part.

    >>> block = Block.of("requests", 0, [b"2", b"5", b"1", b"1", b"9"])
    >>> parts = split([block], lambda block: [int(value) for value in block.values], 4)
    >>> [[piece.values for piece in part] for part in parts]
    [[[b'2']], [[b'5']], [[b'1', b'1']], [[b'9']]]
    """
    weights = [weigh(block) for block in blocks]
    if all(weight is None for weight in weights):
        return [blocks]
    parts: list[list[Block]] = []
    part: list[Block] = []
    room = answers_max
    for block, weight in zip(blocks, weights, strict=True):
        first = 0
        for at, answers in enumerate(weight or [1] * len(block)):
            if answers > room and (part or at > first):
                parts.append([*part, block[first:at]] if at > first else part)
                part, room, first = [], answers_max, at
            room -= answers
        part.append(block[first:])
    return [*parts, part]
