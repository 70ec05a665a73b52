"""What kind of statement came, without parsing more of it than needed; the engine's own parser has seen it (`gate`)."""

import re
from pathlib import Path
from typing import NamedTuple

# What is not closed goes on to the end: looked for again from every place, it would take the square of the time.
_QUOTED_OR_COMMENT = re.compile(
    r"""'(?:[^'\\]|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|`(?:[^`\\]|\\.)*(?:`|\Z)"""
    r"""|--[^\n]*|\#[ !][^\n]*|/\*.*?(?:\*/|\Z)""",
    re.DOTALL,
)
_WORD = re.compile(r"\w+|[()]")
_FIRST_WORD = re.compile(r"[\s(]*(\w+)")
_INSERT = re.compile(
    r"""\s* INSERT \s+ INTO \s+ (?:TABLE \s+)? (?!FUNCTION\b)
        (?P<table> [^\s(]+ ) \s*
        (?P<columns> \( (?: [^()] | \([^()]*\) )* \) )? \s*
        (?: SETTINGS \s+ (?P<settings> .+? ) \s* )?
        FORMAT \s+ (?P<format> \w+ ) $""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_FORMAT = re.compile(r"\s+FORMAT\s+\w+\s*;?\s*$", re.IGNORECASE)
#: One INSERT becomes one block, whatever its size, so that it is one part and deduplicates as one.
_ONE_BLOCK = (
    "async_insert=0, input_format_parallel_parsing=0, max_insert_block_size=1000000000, "
    "min_insert_block_size_rows=1000000000, min_insert_block_size_bytes=0"
)


class Insert(NamedTuple):
    """An INSERT whose rows come as blocks, or stand after it."""

    table: str
    columns: str
    settings: str
    format: str

    @property
    def select(self) -> str:
        """The SELECT that has the columns to come."""
        return f"SELECT {self.columns[1:-1] or '*'} FROM {self.table}"  # noqa: S608  (the client's own words)

    def from_file(self, path: Path) -> str:
        """The statement that inserts a file of rows in its format."""
        settings = ", ".join(filter(None, (self.settings, _ONE_BLOCK)))
        into = f"INSERT INTO {self.table} {self.columns} FROM INFILE {quoted(str(path))}"
        return f"{into} SETTINGS {settings} FORMAT {self.format}"


class Statement:
    """One statement: its text, and its code with comments and quoted text blanked, every character in its place.

    >>> Statement("SELECT 'a -- b' -- c").code
    "SELECT '______'     "
    """

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.code = _QUOTED_OR_COMMENT.sub(_blank, sql)

    @property
    def first_word(self) -> str:
        """The first word in capitals, past comments and brackets.

        >>> Statement("/* why */ (select 1)").first_word
        'SELECT'
        """
        match = _FIRST_WORD.match(self.code)
        return match[1].upper() if match else ""

    @property
    def streams(self) -> bool:
        """Whether the engine can give the result piece by piece."""
        return self.first_word in ("SELECT", "WITH", "FROM")

    @property
    def gives_rows(self) -> bool:
        """Whether a client expects columns, even of no rows."""
        return self.streams or self.first_word in ("SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK")

    @property
    def without_format(self) -> str:
        """The text less its FORMAT: over this protocol everything is Native.

        >>> Statement("SELECT 1 FORMAT JSON;").without_format
        'SELECT 1'
        """
        match = _FORMAT.search(self.code)
        return self.sql[: match.start()] if match else self.sql

    @property
    def rows_at(self) -> int | None:
        """Where the rows of an INSERT begin that has them in its text; None for all else.

        >>> text = "INSERT INTO t (a) VALUES (1)"
        >>> text[Statement(text).rows_at:]
        '(1)'
        >>> Statement("INSERT INTO t VALUES").rows_at is Statement("INSERT INTO t SELECT 1").rows_at is None
        True
        """
        words = _WORD.finditer(self.code)
        if [word[0].upper() for _, word in zip(range(2), words, strict=False)] != ["INSERT", "INTO"]:
            return None
        depth = 0
        for word in words:
            depth += (word[0] == "(") - (word[0] == ")")
            name = word[0].upper() if not depth else ""
            if name in ("SELECT", "WITH", "FROM"):
                return None
            if name == "VALUES" or (name == "FORMAT" and (word := next(words, word))):
                rows = self.code[word.end() :].lstrip(" \t\r\n;")
                return len(self.code) - len(rows) if rows else None
        return None

    @property
    def insert(self) -> Insert | None:
        """The INSERT that waits for rows, in the engine's spelling; None for all else.

        >>> Statement("INSERT INTO `my db`.t (a, b) SETTINGS async_insert = 0 FORMAT Values").insert
        Insert(table='`my db`.t', columns='(a, b)', settings='async_insert = 0', format='Values')
        >>> Statement("INSERT INTO t SELECT 1").insert is None
        True
        """
        if not (match := _INSERT.match(self.code)):
            return None
        parts = (slice(*match.span(part)) for part in Insert._fields)
        return Insert(*(self.sql[part] if part.start >= 0 else "" for part in parts))


def quoted(value: str) -> str:
    """Write a text as SQL.

    >>> print(quoted("it's"))
    'it\\'s'
    """
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_name(name: str) -> str:
    """Write a name as SQL.

    >>> print(quoted_name("a`b"))
    `a\\`b`
    """
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _blank(match: re.Match[str]) -> str:
    quoted = match[0]
    return f"{quoted[0]}{'_' * (len(quoted) - 2)}{quoted[0]}" if quoted[0] in "'\"`" else " " * len(quoted)
