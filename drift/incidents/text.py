"""Texts of alerts, as parts: words, and the times, names and figures among them.

Rules put parts together and never write a time. `spelled` writes the times, once, when an alert is made; who shows
the alert elsewhere writes them again in its own way, without reading English.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from drift.incidents.spelling import from_to, listed
from streams.wire.records import TextPart

Text = tuple[TextPart, ...]


def text(*items: "str | TextPart | Iterable[TextPart]") -> Text:
    """Join words, parts and texts.

    >>> [part.text for part in text("RELP moved", since(7), "; ", names(["a", "b"]))]
    ['RELP moved', '', '; ', 'a and b']
    """
    parts: list[TextPart] = []
    for item in items:
        if isinstance(item, str):
            parts += [TextPart(item)] if item else []
        elif isinstance(item, TextPart):
            parts.append(item)
        else:
            parts += item
    return tuple(parts)


def joined(texts: Iterable[Text], between: str) -> Text:
    """Join texts, with words between them; empty ones are left out."""
    parts: Text = ()
    for each in filter(None, texts):
        parts = text(parts, between if parts else "", each)
    return parts


def subject(name: str) -> TextPart:
    """What a text is about: a column, a figure."""
    return TextPart(name, "subject")


def since(ms: int) -> TextPart:
    """The clause that says since when."""
    return TextPart("", "since", at=ms)


def time(ms: int) -> TextPart:
    """An event time."""
    return TextPart("", "time", at=ms)


def names(several: Sequence[str]) -> TextPart:
    """A list of names."""
    return TextPart(listed(several), "names", names=list(several))


def person(name: str) -> TextPart:
    """Who decided."""
    return TextPart(name, "person")


def change(metric: str, was: float, now: float, origin: str = "") -> TextPart:
    """A change of a figure, with as many digits as it takes to see it.

    Parameters
    ----------
    metric
        The figure; ``share`` for a share of rows.
    was, now
        Its two values.
    origin
        Where the first one is from.
    """
    return TextPart(from_to(metric, was, now, origin), "change", was=was, now=now)


def spelled(parts: Text, spell: Callable[[int], str]) -> Text:
    """The same parts, their times written.

    >>> "".join(part.text for part in spelled(text("gone", since(7), ", after ", time(5)), str))
    'gone since 7, after 5'
    """
    return tuple(_written(part, spell) if part.at is not None else part for part in parts)


def plain(parts: Text) -> str:
    """A text as people read it."""
    return "".join(part.text for part in parts)


def _written(part: TextPart, spell: Callable[[int], str]) -> TextPart:
    assert part.at is not None
    lead = " since " if part.kind == "since" else ""
    return msgspec.structs.replace(part, text=lead + spell(part.at))
