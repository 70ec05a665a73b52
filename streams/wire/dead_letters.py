"""Dead letters: a refused record is a record. It keeps its bytes, its key, its headers, its place and the reason.

The letter of one row of a message of many keeps the whole message; ``field`` says which row it was. To redrive it is
to send all rows again. Where several rows of one message are refused, only the first letter keeps the bytes.

Beside the letters their topic carries marks: a record without a value, on the letter's own partition, that says that
the letter was sent again (`streams.redrive`). Whoever reads the topic passes over what `is_mark` calls one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from streams.wire.block import Block
from streams.wire.effects import Headers, Publish
from streams.wire.refusals import Reason, Refusal

DEAD_LETTERS = "dead-letters"
PREFIX = "driftline-"

#: An oversize value is kept up to here, with the sha256 of the whole.
KEPT_BYTES_MAX = 65_536
KEPT_WHOLE_BYTES_MAX = 900_000

#: Headers of a record that was sent again: the letter that it was, and how often it has been sent again by now.
REDRIVEN_FROM = f"{PREFIX}redriven-from"
REDRIVES = f"{PREFIX}redrives"
_HISTORY = (REDRIVEN_FROM, REDRIVES)

_MARK = f"{PREFIX}redriven"
OFFSET_MAX, _COUNT_MAX, _DIGITS_MAX = 2**63 - 1, 2**31 - 2, 19
PLACE = (("partition", 2**31 - 1), ("offset", OFFSET_MAX))

#: What each reason means to whoever sent the record, and what to do.
IN_WORDS: dict[Reason, str] = {
    "empty": "the record has no value, or no row; send a request",
    "oversize": "the record, or its answer, is larger than what travels; send less in one record",
    "undecodable": "the bytes are no JSON, or none of the format that was meant; mend the producer, or score.format",
    "unknown_schema": "the schema registry has no schema of the record's number; register it, then redrive",
    "unknown_format": "the record's format number is of another version; upgrade the process that refused it",
    "wrong_type": "a field has another type than the schema says; mend the producer, or the schema in model.toml",
    "missing_field": "a required field is missing; send it, or make it optional in model.toml",
    "no_known_feature": "none of the names is a feature of the model; send those of model.toml, spelled alike",
    "unknown_model": "no route for the model that the record names; `driftline model list` shows what serves",
    "model_not_loaded": "the model has a route and cannot be loaded; see the detail, mend its package, then redrive",
    "impossible_timestamp": "the time is no time, or lies ahead of its arrival; mend the producer's clock or format",
    "impossible_id": "the id is empty or too long; send another, or none",
    "impossible_act": "what was decided of an incident cannot be done as it stands; see the detail, then decide again",
    "model_failed": "the model failed on this row and on no other; see the detail, mend the model, then redrive",
    "unknown_prediction": "a label came for which there is no prediction; compare the ids of both sides",
    "unknown_class": "the label is none of the model's classes; mend whoever sends labels, or model.toml, then redrive",
    "impossible_value": "a value lies outside of what can be kept or computed; see the detail, mend whoever wrote it",
    "schema_conflict": "a feature contradicts the table of its model; give it another name in a new version",
}


def dead_letter(block: Block, refusal: Refusal, stage: str, attempts: int = 1) -> Publish:
    """Make the dead letter of one record of a block.

    Its headers are the record's own and ours, which begin with ``driftline-``: topic, partition, offset, time,
    stage, reason, field, detail, attempts; for a value that was cut also bytes and sha256.

    Parameters
    ----------
    refusal
        What is wrong, with the record's position in the block.
    stage
        The step that refused it.
    attempts
        How often it was tried.

    >>> block = Block.of("requests", 3, [b"{"], first=1041)
    >>> letter = dead_letter(block, Refusal(0, "undecodable", "$", "cut"), "score")
    >>> letter.topic, letter.value, dict(letter.headers)["driftline-offset"]
    ('dead-letters', b'{', b'1041')
    """
    value = block.values[refusal.at]
    facts = {
        "topic": block.topic,
        "partition": block.partition,
        "offset": block.offsets[refusal.at],
        "time": block.times[refusal.at],
        "stage": stage,
        "reason": refusal.reason,
        "field": refusal.field[:1000],
        "detail": refusal.detail[:2000],
        "attempts": attempts,
    }
    headers = block.headers[refusal.at] or ()
    kept = [header for header in headers if not _is_ours(header)]
    kept += [(name, value[:200]) for name, value in headers if name in _HISTORY]
    ours: Headers = [(PREFIX + name, str(v).encode()) for name, v in facts.items()]
    letter = Publish(DEAD_LETTERS, value, key=block.keys[refusal.at], headers=[*kept, *ours], at=refusal.at)
    return letter if value is None or len(value) <= KEPT_WHOLE_BYTES_MAX else _shortened(letter)


def cut(letter: Publish) -> Publish:
    """Make a dead letter that Kafka takes of one that it does not: the value's beginning, and no headers but ours.

    >>> headers = [("big", b"y" * 1_000_000), ("driftline-stage", b"score")]
    >>> short = cut(Publish("dead-letters", b"x" * 70_000, headers=headers))
    >>> len(short.value), [name for name, _ in short.headers]
    (65536, ['driftline-stage', 'driftline-bytes', 'driftline-sha256'])
    """
    ours = [header for header in letter.headers or () if _is_ours(header)]
    key = None if letter.key is None else letter.key[:KEPT_BYTES_MAX]
    return _shortened(msgspec.structs.replace(letter, headers=ours, key=key))


def further(letter: Publish, first: Publish) -> Publish:
    """Make the letter of another row of a message whose ``first`` letter keeps the bytes: a large message with many bad
    rows would else be written as often as it has them.

    >>> block = Block.of("requests", 3, [b"rows"])
    >>> first, second = (dead_letter(block, Refusal(0, "wrong_type", f"$[{n}].age", ""), "score") for n in (1, 2))
    >>> letter = further(second, first)
    >>> letter.value, dict(letter.headers)["driftline-field"], dict(letter.headers)["driftline-bytes"]
    (b'', b'$[2].age', b'4')
    """
    known = {name for name, _ in letter.headers or ()}
    more = [] if f"{PREFIX}bytes" in known else _size(first.value or b"")
    return msgspec.structs.replace(letter, value=b"", headers=[*(letter.headers or ()), *more])


def _size(value: bytes) -> Headers:
    return [
        (f"{PREFIX}bytes", str(len(value)).encode()),
        (f"{PREFIX}sha256", _sha256(value)),
    ]


@lru_cache(maxsize=4)
def _sha256(value: bytes) -> bytes:
    return hashlib.sha256(value).hexdigest().encode()


def _shortened(letter: Publish) -> Publish:
    """Keep the value's beginning, and say how long it was; once is enough."""
    value = letter.value or b""
    known = {name for name, _ in letter.headers or ()}
    more = [header for header in _size(value) if header[0] not in known]
    return msgspec.structs.replace(letter, value=value[:KEPT_BYTES_MAX], headers=[*(letter.headers or ()), *more])


def _is_ours(header: tuple[str, bytes]) -> bool:
    return header[0].startswith(PREFIX)


# --- read back --------------------------------------------------------------------------------------


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it lies on its topic.

    Attributes
    ----------
    partition, offset, time_ms
        Its own place, and when it was written.
    topic, source_partition, source_offset, source_ms
        Where the record stood, and Kafka's time of it, if that is known.
    stage, reason, field, detail, attempts
        Who refused it, why, and after how many tries.
    redrives
        How often the record had been sent again before this refusal.
    size
        Bytes of the record's value.
    sha256
        Of the whole value, where only its beginning was kept; else empty.
    key, value, headers
        The record's own.
    """

    partition: int
    offset: int
    time_ms: int
    topic: str
    source_partition: int
    source_offset: int
    source_ms: int | None
    stage: str
    reason: str
    field: str
    detail: str
    attempts: int
    redrives: int
    size: int
    sha256: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> str:
        """Where it lies: topic/partition/offset."""
        return f"{DEAD_LETTERS}/{self.partition}/{self.offset}"

    @property
    def source(self) -> str:
        """Where its record stood: topic/partition/offset."""
        return f"{self.topic}/{self.source_partition}/{self.source_offset}"


def letters(block: Block) -> Iterator[Letter]:
    """Read the letters of a block; marks, and records that are none of ours, are passed over.

    >>> block = Block.of("requests", 3, [b"{"], first=1041)
    >>> sent = dead_letter(block, Refusal(0, "undecodable", "$", "cut"), "score")
    >>> read = Block("dead-letters", 0, [17], [5], [sent.key], [sent.value], [sent.headers])
    >>> [(letter.place, letter.source, letter.reason) for letter in letters(read)]
    [('dead-letters/0/17', 'requests/3/1041', 'undecodable')]
    """
    return (letter for at in range(len(block)) if (letter := letter_at(block, at)) is not None)


def letter_at(block: Block, at: int) -> Letter | None:
    """Read one letter of a block; None for a mark, and for a record that does not say where its bytes stood."""
    facts = _ours(block, at)
    partition, offset = (number_of(facts.get(name, ""), most) for name, most in PLACE)
    if partition is None or offset is None or not facts.get("topic") or is_mark(block.headers[at]):
        return None
    value = block.values[at]
    attempts, redrives, size = (
        number_of(facts.get(name, ""), _COUNT_MAX) for name in ("attempts", "redrives", "bytes")
    )
    return Letter(
        partition=block.partition,
        offset=block.offsets[at],
        time_ms=block.times[at],
        topic=facts["topic"],
        source_partition=partition,
        source_offset=offset,
        source_ms=number_of(facts.get("time", ""), OFFSET_MAX),
        stage=facts.get("stage", ""),
        reason=facts.get("reason", ""),
        field=facts.get("field", ""),
        detail=facts.get("detail", ""),
        attempts=1 if attempts is None else attempts,
        redrives=redrives or 0,
        size=len(value or b"") if size is None else size,
        sha256=facts.get("sha256", ""),
        key=block.keys[at],
        value=value,
        headers=[header for header in block.headers[at] or () if not _is_ours(header)],
    )


def _ours(block: Block, at: int) -> dict[str, str]:
    """Headers of ours by name, without the prefix; anybody may have written them."""
    return {
        name.removeprefix(PREFIX): value.decode("utf-8", "replace")
        for name, value in filter(_is_ours, block.headers[at] or ())
    }


def number_of(text: str, most: int) -> int | None:
    """Read a number from 0 to ``most``; None where it is none. Python refuses to read one of 5,000 digits.

    >>> number_of("17", 99), number_of("-1", 99), number_of("100", 99), number_of("9" * 5_000, 99), number_of("", 99)
    (17, None, None, None, None)
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
        return None
    return number if (number := int(text)) <= most else None


def history(letter: Letter) -> Headers:
    """Where a record has been that is sent again: its letter, and how often."""
    return [(REDRIVEN_FROM, letter.place.encode()), (REDRIVES, str(letter.redrives + 1).encode())]


# --- marks ------------------------------------------------------------------------------------------


def mark(letter: Letter) -> Publish:
    """Say beside a letter that it was sent again."""
    return Publish(DEAD_LETTERS, None, partition=letter.partition, headers=[(_MARK, str(letter.offset).encode())])


def is_mark(headers: Headers | None) -> bool:
    """Whether a record of the letters' topic is a mark and no letter."""
    return any(name == _MARK for name, _ in headers or ())


def marked(blocks: Sequence[Block] | Iterator[Block]) -> set[tuple[int, int]]:
    """Partition and offset of every letter that was sent again."""
    return {
        (block.partition, offset)
        for block in blocks
        for headers in block.headers
        for name, value in headers or ()
        if name == _MARK and (offset := number_of(value.decode("utf-8", "replace"), OFFSET_MAX)) is not None
    }
