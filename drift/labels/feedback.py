"""Feedback as people send it: one JSON label a record, read for the join and for the sink alike."""

from typing import Any, NamedTuple

import msgspec

from streams.formats.envelope import ID_CHARACTERS_MAX, default_time, event_time, request_id
from streams.formats.json_text import undecodable, unmarked
from streams.formats.misfit import misfit
from streams.wire.block import Block
from streams.wire.refusals import Refusal, Refused
from streams.wire.schema import level_text
from streams.wire.time_limits import END_MS

#: Where labels wait; its headers are ours, those of `feedback` are anybody's.
WAITING = "feedback-waiting"
#: Headers of a label that waits: for how long it has, in ms, and Kafka's time of its first arrival.
WAITED, ARRIVED = "waited-ms", "label-arrived"
#: A label is the name of a class or a number.
LABEL_CHARACTERS_MAX = ID_CHARACTERS_MAX


class _Sent(msgspec.Struct):
    """A label as people send it; what its label and time are, is looked at here, so that each fault has its name."""

    id: str | int
    label: Any = None
    ts: Any = None


_label = msgspec.json.Decoder(_Sent)
#: A record without a time of Kafka's own cannot have come too early.
_NEVER = 2**53
#: Of a 64-bit number.
_DIGITS_MAX = 20
_JSON_TYPES = {bool: "bool", dict: "object", list: "array", type(None): "null"}


class Said(msgspec.Struct, frozen=True):
    """A label that could be read: its place in the block, whom it is about, its text, and since when it holds (ms)."""

    at: int
    id: str
    label: str
    ts: int


def read_labels(block: Block) -> tuple[list[Said], list[Refusal]]:
    """Read a block of labels: those that could be read, and the others with the reason.

    >>> labels, refused = read_labels(Block.of("feedback", 0, [b'{"id":"a","label":1.0}', b'{"id":"a"}'], time=7))
    >>> labels, refused[0].reason
    ([Said(at=0, id='a', label='1', ts=7)], 'missing_field')
    """
    labels: list[Said] = []
    refused: list[Refusal] = []
    for at in range(len(block)):
        try:
            labels.append(_read(block, at))
        except Refused as why:
            refused.append(Refusal(at, *why.args))
    return labels, refused


def _read(block: Block, at: int) -> Said:
    """Read one label.

    Raises
    ------
    Refused
        It says nothing that can be joined, and why.
    """
    value = block.values[at]
    if not value:
        raise Refused("empty", "$", "the record has no value")
    try:
        sent = _label.decode(unmarked(value))
    except msgspec.ValidationError as error:
        raise misfit(_label, unmarked(value), error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise undecodable(value, error) from None
    return Said(at, request_id(sent.id), label_text(sent.label), _since(block, at, sent.ts))


def label_text(label: Any, field: str = "$.label") -> str:
    """Read what a label says: text, a number or a boolean.

    Raises
    ------
    Refused
        It is missing, null, not a number, too long, or holds several values.

    >>> label_text(1.0), label_text(True)
    ('1', 'true')
    """
    if label is None:
        raise Refused("missing_field", field, "the label is missing or null; send it once it is known")
    if not isinstance(label, str | int | float):
        got = _JSON_TYPES.get(type(label), type(label).__name__)
        raise Refused("wrong_type", field, f"Expected text, a number or a boolean, got `{got}`")
    if label != label:  # NaN alone differs from itself
        raise Refused("missing_field", field, "the label is NaN; send it once it is known")
    text = level_text(label)
    if len(text) > LABEL_CHARACTERS_MAX:
        raise Refused("oversize", field, f"{len(text)} characters, at most {LABEL_CHARACTERS_MAX} name a class")
    return text


def _since(block: Block, at: int, ts: Any) -> int:
    """Event time of a label: its own, else when Kafka had it first."""
    wait = waited(block, at)
    arrived = block.times[at] if wait is None else wait.arrived_ms
    if ts is None:
        return arrived if 0 <= arrived < END_MS else default_time(block, at)
    if isinstance(ts, bool) or not isinstance(ts, str | int | float):
        got = _JSON_TYPES.get(type(ts), type(ts).__name__)
        raise Refused("impossible_timestamp", "$.ts", f"a time is milliseconds since 1970 or RFC 3339, got `{got}`")
    return event_time(ts, arrived if arrived >= 0 else _NEVER)


class Waited(NamedTuple):
    """How long a label has waited for its prediction, and Kafka's time of its first arrival, ms."""

    waited_ms: int
    arrived_ms: int


def waited(block: Block, at: int) -> Waited | None:
    """Read what we wrote beside a label that waits; None for one that comes for the first time.

    Raises
    ------
    Refused
        It was not written by us.

    >>> waited(Block("feedback", 0, [0], [7], [None], [b""], [[("waited-ms", b"never")]]), 0) is None
    True
    >>> waited(Block("feedback-waiting", 0, [0], [7], [None], [b""], [[("waited-ms", b"60")]]), 0)
    Waited(waited_ms=60, arrived_ms=7)
    """
    headers = dict(block.headers[at] or ()) if block.topic == WAITING else {}
    if WAITED not in headers and ARRIVED not in headers:
        return None
    return Waited(_milliseconds(headers, WAITED, 0), _milliseconds(headers, ARRIVED, block.times[at]))


def _milliseconds(headers: dict[str, bytes], name: str, default: int) -> int:
    text = headers.get(name, str(default).encode()) or b""
    if not text.removeprefix(b"-").isdigit() or len(text) > _DIGITS_MAX:
        detail = f"header {name} is {text[:40]!r}, milliseconds expected; only the join writes {WAITING}"
        raise Refused("undecodable", f"@header.{name}", detail)
    return int(text)
