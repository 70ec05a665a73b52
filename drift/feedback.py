"""Feedback as people send it: one JSON label a record, read for the join and for the sink alike."""

import msgspec

from streams.block import Block
from streams.formats.envelope import event_time_ms
from streams.records import Label
from streams.refusals import Refusal
from streams.schema import level_text

#: Where labels wait; its headers are ours, those of `feedback` are anybody's.
WAITING = "feedback-waiting"
#: A label that waited comes with Kafka's time of its first arrival.
ARRIVED = "label-arrived"

_label = msgspec.json.Decoder(Label)


class Said(msgspec.Struct, frozen=True):
    """A label that could be read: its place in the block, whom it is about, its text, and since when it holds (ms)."""

    at: int
    id: str
    label: str
    ts: int


def read_labels(block: Block) -> tuple[list[Said], list[Refusal]]:
    """Read a block of labels: those that could be read, and the others with the reason.

    >>> said, refused = read_labels(Block.of("feedback", 0, [b'{"id":"a","label":1.0}', b'{"id":"a"}'], time=7))
    >>> said, refused[0].reason
    ([Said(at=0, id='a', label='1', ts=7)], 'wrong_type')
    """
    said: list[Said] = []
    refused: list[Refusal] = []
    for at in range(len(block)):
        found = _read(block, at)
        if isinstance(found, Said):
            said.append(found)
        else:
            refused.append(found)
    return said, refused


def _read(block: Block, at: int) -> Said | Refusal:
    value = block.values[at]
    if not value:
        return Refusal(at, "empty", "$", "the record has no value")
    try:
        label = _label.decode(value)
    except msgspec.ValidationError as error:
        return Refusal(at, "wrong_type", "$", str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(at, "undecodable", "$", str(error))
    ts = _arrived(block, at) if label.ts is None else event_time_ms(label.ts)
    if ts is None:
        detail = f"{label.ts!r} is neither milliseconds since 1970 nor RFC 3339"
        return Refusal(at, "impossible_timestamp", "$.ts", detail)
    return Said(at, label.id, level_text(label.label), ts)


def _arrived(block: Block, at: int) -> int:
    return int(waited(block, at).get(ARRIVED, block.times[at]))


def waited(block: Block, at: int) -> dict[str, bytes]:
    """What we wrote beside a label that waits; nothing for one that comes for the first time.

    >>> waited(Block("feedback", 0, [0], [7], [None], [b""], [[("waited-ms", b"never")]]), 0)
    {}
    """
    return dict(block.headers[at] or ()) if block.topic == WAITING else {}
