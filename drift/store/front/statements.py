"""What kind of statement came, without parsing more of it than needed."""

import re
from pathlib import Path
from typing import NamedTuple

_QUOTED_OR_COMMENT = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/", re.DOTALL
)
_FIRST_WORD = re.compile(r"[\s(]*(\w+)")
_INSERT = re.compile(
    r"""\s* INSERT \s+ INTO \s+ (?:TABLE \s+)? (?!FUNCTION\b)
        (?P<table> [^\s(]+ ) \s*
        (?P<columns> \( (?: [^()] | \([^()]*\) )* \) )? \s*
        (?: SETTINGS \s+ (?P<settings> .+? ) \s* )?
        (?: VALUES | FORMAT \s+ \w+ ) \s* ;? \s* $""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_FORMAT = re.compile(r"\s+FORMAT\s+\w+\s*;?\s*$", re.IGNORECASE)
# A table of one of these engines can fail while it is created and then keeps the directory from ever opening
# again (Kafka does); each of them would run a consumer inside the store.
_CONSUMER_ENGINE = re.compile(
    r"(?i:\bENGINE)\s*=?\s*(Kafka|RabbitMQ|NATS|S3Queue|AzureQueue|FileLog|Materialized(?:PostgreSQL|MySQL))\b"
)
#: One INSERT becomes one block, whatever its size, so that it is one part and deduplicates as one.
_ONE_BLOCK = (
    "async_insert=0, input_format_parallel_parsing=0, max_insert_block_size=1000000000, "
    "min_insert_block_size_rows=1000000000, min_insert_block_size_bytes=0"
)
_STOPS_ENGINE = re.compile(r"\s*SYSTEM\s+(SHUTDOWN|KILL)\b", re.IGNORECASE)


class Insert(NamedTuple):
    """An INSERT whose rows will come as blocks."""

    table: str
    columns: str
    settings: str

    @property
    def select(self) -> str:
        """The SELECT that has the columns to come."""
        return f"SELECT {self.columns[1:-1] or '*'} FROM {self.table}"  # noqa: S608  (the client's own words)

    def from_file(self, path: Path) -> str:
        """The statement that inserts a file of Native blocks."""
        settings = ", ".join(filter(None, (self.settings, _ONE_BLOCK)))
        return (
            f"INSERT INTO {self.table} {self.columns} FROM INFILE {quoted(str(path))} SETTINGS {settings} FORMAT Native"
        )


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
        found = _FIRST_WORD.match(self.code)
        return found[1].upper() if found else ""

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
        found = _FORMAT.search(self.code)
        return self.sql[: found.start()] if found else self.sql

    @property
    def insert(self) -> Insert | None:
        """The INSERT that waits for blocks; None for all else, an INSERT with its rows in the text too.

        >>> Statement("INSERT INTO `my db`.t (a, b) SETTINGS async_insert=0 VALUES").insert
        Insert(table='`my db`.t', columns='(a, b)', settings='async_insert=0')
        >>> Statement("INSERT INTO t VALUES (1)").insert is Statement("INSERT INTO t SELECT 1").insert is None
        True
        """
        if not (found := _INSERT.match(self.code)):
            return None
        parts = (slice(*found.span(part)) for part in ("table", "columns", "settings"))
        return Insert(*(self.sql[part] if part.start >= 0 else "" for part in parts))

    @property
    def refusal(self) -> str | None:
        """Why the embedded engine must not see the statement, or None.

        >>> Statement("CREATE TABLE t (a Int8) ENGINE = Kafka('b', 't', 'g', 'CSV')").refusal[:32]
        'ENGINE = Kafka consumes on its o'
        >>> Statement("SELECT 'ENGINE=Kafka'").refusal is None
        True
        """
        if found := _CONSUMER_ENGINE.search(self.code):
            return (
                f"ENGINE = {found[1]} consumes on its own and can leave the embedded store's directory unreadable; "
                "let the sink write, or use a ClickHouse server"
            )
        if found := _STOPS_ENGINE.match(self.code):
            return f"SYSTEM {found[1].upper()} would stop the engine for everybody; stop the store's process instead"
        return None


def quoted(value: str) -> str:
    """Write a text as SQL.

    >>> print(quoted("it's"))
    'it\\'s'
    """
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _blank(match: re.Match[str]) -> str:
    found = match[0]
    return f"{found[0]}{'_' * (len(found) - 2)}{found[0]}" if found[0] in "'\"`" else " " * len(found)
