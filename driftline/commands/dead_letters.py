"""Dead letters as people look at them: how many of which kind, the newest, and one in full."""

from collections import deque
from collections.abc import Iterator

import msgspec

from driftline.commands.terminal import aligned, instant
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.kafka.topics import FOREIGN, NAMES
from streams.logs import one_line
from streams.redrive import Filter, Found, can_be_sent
from streams.wire.dead_letters import DEAD_LETTERS, IN_WORDS, Letter

_HEADINGS = ("reason", "topic", "stage", "letters", "sent again", "newest", "field")
_HEX_BYTES = 16
_SHOWN_BYTES_MAX = 16_384


class LetterError(ValueError):
    """There is no such dead letter; the text says what was looked for."""


class Group(msgspec.Struct, kw_only=True):
    """Letters of one kind. ``again`` of them were sent again, ``due`` of the others could be; ``newest_ms`` is when the
    last was written.
    """

    reason: str
    topic: str
    stage: str
    letters: int = 0
    again: int = 0
    due: int = 0
    newest_ms: int = 0
    field: str = ""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One letter in a list, without its bytes."""

    place: str
    source: str
    time_ms: int
    stage: str
    reason: str
    field: str
    detail: str
    size: int
    again: bool


class Listing(msgspec.Struct, frozen=True):
    """Groups, the largest first, and the newest letters, the newest last."""

    groups: list[Group]
    letters: list[Listed]


def listing(letters: Found, limit: int) -> Listing:
    """Sum up letters and keep the last ``limit`` of them."""
    groups: dict[tuple[str, str, str], Group] = {}
    last: deque[Listed] = deque(maxlen=limit)
    for letter in letters:
        again = letters.sent_again(letter)
        kind = (letter.reason, letter.topic, letter.stage)
        group = groups.setdefault(kind, Group(reason=letter.reason, topic=letter.topic, stage=letter.stage))
        group.letters += 1
        group.again += again
        group.due += not again and can_be_sent(letter)
        group.newest_ms, group.field = letter.time_ms, letter.field
        known = {name: getattr(letter, name) for name in Listed.__struct_fields__ if name != "again"}
        last.append(Listed(**known, again=again))
    return Listing(sorted(groups.values(), key=lambda group: -group.letters), list(last))


def find(cluster: Cluster, place: str, now_ms: int) -> tuple[Letter, bool]:
    """One letter, by its own place or by that of its record, and whether it was sent again.

    Parameters
    ----------
    place
        ``dead-letters/0/17``, ``0/17``, or where the record stood: ``requests/3/1041``.

    Raises
    ------
    LetterError
        None lies there.
    """
    topic, partition, offset = _parts(cluster, place)
    if topic != DEAD_LETTERS:
        letters = Found(cluster, Filter(topic=topic), now_ms)
        matching = (
            candidate
            for candidate in letters
            if (candidate.source_partition, candidate.source_offset) == (partition, offset)
        )
    else:
        low, high = ranges.bounds(cluster, DEAD_LETTERS).get(partition, (0, 0))
        if not low <= offset < high:
            raise LetterError(
                f"no dead letter at {place}: {DEAD_LETTERS}/{partition} begins at {low} and ends at {high}"
            )
        letters = Found(cluster, Filter(start=f"{partition}:{offset}"), now_ms)
        matching = (
            candidate for candidate in letters if (candidate.partition, candidate.offset) == (partition, offset)
        )
    for letter in matching:
        return letter, letters.sent_again(letter)
    raise LetterError(f"no dead letter at {place}; `driftline dead-letters list` shows where they lie")


def _parts(cluster: Cluster, text: str) -> tuple[str, int, int]:
    *topic, partition, offset = f"{DEAD_LETTERS}/{text}".split("/")
    if not (partition.isdecimal() and offset.isdecimal()) or len(topic) > 2:
        raise LetterError(f"{text!r} is no place; give topic/partition/offset, such as dead-letters/0/17")
    name = topic[-1] if topic[-1] in NAMES or topic[-1].startswith(FOREIGN) else cluster.logical(topic[-1])
    return name, int(partition), int(offset)


def table(listing: Listing) -> Iterator[str]:
    """Say a listing in lines.

    >>> group = Group(reason="empty", topic="requests", stage="score", letters=1200, again=3, field="$")
    >>> print(*table(Listing([group], [])), sep="\\n")
    reason  topic     stage  letters  sent again  newest                field
    empty   requests  score    1,200           3  1970-01-01T00:00:00Z  $
    """
    if not listing.groups:
        yield "no dead letters"
        return
    rows = [
        (g.reason, g.topic, g.stage, f"{g.letters:,}", f"{g.again:,}", instant(g.newest_ms), g.field)
        for g in listing.groups
    ]
    yield from aligned([_HEADINGS, *rows], numbers=(3, 4))
    if not listing.letters:
        return
    yield ""
    letters = [
        (letter.place, letter.source, letter.reason, letter.field, "sent again" if letter.again else letter.detail)
        for letter in listing.letters
    ]
    yield from aligned(letters, wide=60)
    yield ""
    yield from _next(listing)


def _next(listing: Listing) -> Iterator[str]:
    """What to do: about the newest letter that was not sent again, and the reason of most that could be."""
    left = [letter for letter in listing.letters if not letter.again]
    due = max(listing.groups, key=lambda group: group.due)
    if all(group.again == group.letters for group in listing.groups):
        yield "all of them were sent again: nothing is left to do"
        return
    show = f"next: `driftline dead-letters show {left[-1].place}`" if left else "next: `driftline dead-letters list`"
    if not due.due:
        yield f"{show}; none of those that are left can be sent again from here"
        return
    yield f"{show}; once the cause is mended,"
    yield f"      `driftline dead-letters redrive --reason {due.reason}`"


def full(letter: Letter, again: bool) -> Iterator[str]:
    """Say one letter in full: why, where, and what came."""
    yield one_line(f"{letter.place}: {letter.source} was refused by {letter.stage} at {instant(letter.time_ms)}")
    yield f"  {one_line(letter.reason)}: {IN_WORDS.get(letter.reason, 'a reason of another version')}"  # type: ignore[call-overload]
    yield f"  field    {one_line(letter.field)}"
    yield f"  detail   {one_line(letter.detail)}"
    yield f"  attempts {letter.attempts}; sent again {letter.redrives} times before{' and once since' if again else ''}"
    if letter.key is not None:
        yield f"  key      {_line(letter.key)}"
    for name, value in letter.headers:
        yield f"  header   {one_line(name)}: {_line(value)}"
    if letter.sha256:
        yield f"  cut      only the beginning of {letter.size:,} bytes was kept; it cannot be redriven"
        yield f"  sha256   {letter.sha256}"
    yield ""
    value = letter.value or b""
    yield readable(value[:_SHOWN_BYTES_MAX]) or "(no bytes)"
    if len(value) > _SHOWN_BYTES_MAX:
        yield f"... {len(value) - _SHOWN_BYTES_MAX:,} bytes more; --json has all"


def _line(value: bytes) -> str:
    text = readable(value[:200])
    return text if "\n" not in text else value[:200].hex(" ")


def readable(value: bytes) -> str:
    """Bytes as text where they are text, else as hex.

    >>> readable(b'{"age": "n/a"}')
    '{"age": "n/a"}'
    >>> print(readable(b"age\\xff=41"))
    00000000  61 67 65 ff 3d 34 31                              age.=41
    """
    text = _text(value)
    if text is not None:
        return text
    lines = []
    for start in range(0, len(value), _HEX_BYTES):
        row = value[start : start + _HEX_BYTES]
        seen = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<48}  {seen}")
    return "\n".join(lines)


def _text(value: bytes) -> str | None:
    """The text that bytes are; None where they are none, or would speak to the terminal."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\n\t\r" for c in text) else None
