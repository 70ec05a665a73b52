"""How the command line writes instants and tables."""

import datetime as dt
import re
from collections.abc import Collection, Iterator, Sequence

from streams.logs import one_line


def instant(ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339, to the second.

    >>> instant(1_700_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def visible(text: str) -> str:
    """Lines of text, each as `streams.logs.one_line` writes it; tabs stay.

    >>> visible("first\\n\\x1b]0;second")
    'first\\n\\\\x1b]0;second'
    """
    return re.sub(r"[^\n\t\r]+|\r(?!\n)", lambda part: one_line(part[0]), text)


def aligned(rows: Sequence[Sequence[str]], numbers: Collection[int] = (), wide: int = 200) -> Iterator[str]:
    """Rows as lines with their columns below one another.

    Parameters
    ----------
    numbers
        Columns that stand right.
    wide
        Characters of a cell at the most; what is cut ends in three dots.

    >>> list(aligned([("reason", "n"), ("empty", "12")], numbers=[1]))
    ['reason   n', 'empty   12']
    """
    seen = [[one_line(cell) for cell in row] for row in rows]
    cut = [[cell if len(cell) <= wide else f"{cell[: wide - 3]}..." for cell in row] for row in seen]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    for row in cut:
        cells = [c.rjust(w) if n in numbers else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(cells).rstrip()
