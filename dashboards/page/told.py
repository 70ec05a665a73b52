"""What an alert says, retold on a page: its times in the reader's zone, its long lists cut short.

An alert's text goes to topics and mail, so its times are RFC 3339 and its lists whole; a page says since when itself.
"""

import re
from collections.abc import Callable
from datetime import datetime

from dashboards import words

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_SINCE = re.compile(rf" since {_STAMP.pattern}")
_NAMES = re.compile(r"(?:[^\s,;]+, ){2,}[^\s,;]+ and [^\s,;]+")


def retold(text: str, clock: Callable[[int], str], *, since: bool = False) -> str:
    """An alert's text for a page; ``since`` keeps the clause that says since when.

    >>> text = "a moved: level 1 fell since 2026-11-21T08:07:00Z; also b, c, d, e and score"
    >>> retold(text, words.clock)
    'a moved: level 1 fell; also b, c, d and 2 more'
    >>> retold(text, words.clock, since=True)
    'a moved: level 1 fell since Nov 21, 2026, 08:07; also b, c, d and 2 more'
    """
    kept = text if since else _SINCE.sub("", text, count=1)
    local = _STAMP.sub(lambda stamp: clock(_ms(stamp[0])), kept)
    return _NAMES.sub(lambda names: words.listed(re.split(", | and ", names[0])), local)


def leads(text: str, since_ms: int | None) -> bool:
    """Whether a page may say since when in front of an alert's text: its first time, if it has one, is that time.

    >>> leads("a moved: level 1 fell since 2026-11-21T08:07:00Z", 1_795_248_420_000), leads("no rows come", 7)
    (True, True)
    >>> leads("accuracy fell further from 79 % to 63 % since 2026-11-22T08:07:00Z, worse since ...", 1_795_248_420_000)
    False
    """
    found = _SINCE.search(text)
    return found is None or since_ms is None or abs(_ms(found[0].removeprefix(" since ")) - since_ms) < 1_000


def _ms(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)
