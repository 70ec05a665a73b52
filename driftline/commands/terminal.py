"""How the command line writes instants and tables."""

import datetime as dt
import io
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


def aligned(
    rows: Sequence[Sequence[str]], numbers: Collection[int] = (), wide: int = 200, indent: int = 0
) -> Iterator[str]:
    """Rows as lines with their columns below one another; the same text on a terminal and in a file.

    Parameters
    ----------
    rows
        Of one length; headings are a row.
    numbers
        Columns that stand right.
    wide
        Characters of a cell at the most; what is cut ends in three dots.
    indent
        Spaces before each line.

    >>> list(aligned([("reason", "n"), ("empty", "12")], numbers=[1]))
    ['reason   n', 'empty   12']
    """
    if not rows:
        return
    from rich.console import Console  # a tenth of the time of `--help`
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for n in range(len(rows[0])):
        table.add_column(justify="right" if n in numbers else "left", no_wrap=True)
    for row in rows:
        seen = [one_line(cell) for cell in row]
        # Text: a cell of a stranger's is no markup.
        table.add_row(*(Text(cell if len(cell) <= wide else f"{cell[: wide - 3]}...") for cell in seen))
    # Wider than any table (a letter takes up to two places), so that rich neither cuts nor wraps a cell.
    console = Console(file=io.StringIO(), width=len(rows[0]) * (2 * wide + 2), color_system=None)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        yield " " * indent + line.rstrip()
