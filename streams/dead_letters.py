"""Dead letters: a refused record is a record. It keeps its bytes, its key, its headers, its place and the reason."""

import hashlib

from streams.block import Block
from streams.codec import Refusal
from streams.stage import Headers, Publish

#: An oversize value is kept up to here, with the sha256 of the whole.
KEPT_BYTES_MAX = 65_536
KEPT_WHOLE_BYTES_MAX = 900_000

PREFIX = "driftline-"


def dead_letter(block: Block, refusal: Refusal, stage: str, attempts: int = 1) -> Publish:
    """Make the dead letter of one record of a block.

    Its headers are the record's own and ours, which begin with ``driftline-``: topic, partition, offset, stage,
    reason, field, detail, attempts; for a value that was cut also bytes and sha256.

    >>> block = Block.of("requests", 3, [b"{"], first=1041)
    >>> letter = dead_letter(block, Refusal(0, "undecodable", "$", "cut"), "score")
    >>> letter.topic, letter.value, dict(letter.headers)["driftline-offset"]
    ('dead-letters', b'{', b'1041')
    """
    value = block.values[refusal.at]
    said = {
        "topic": block.topic,
        "partition": block.partition,
        "offset": block.offsets[refusal.at],
        "stage": stage,
        "reason": refusal.reason,
        "field": refusal.field[:1000],
        "detail": refusal.detail[:2000],
        "attempts": attempts,
    }
    if value is not None and len(value) > KEPT_WHOLE_BYTES_MAX:
        said |= {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
        value = value[:KEPT_BYTES_MAX]
    kept = [(name, v) for name, v in block.headers[refusal.at] or () if not name.startswith(PREFIX)]
    ours: Headers = [(PREFIX + name, str(v).encode()) for name, v in said.items()]
    return Publish("dead-letters", value, key=block.keys[refusal.at], headers=[*kept, *ours])
