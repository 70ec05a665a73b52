"""Which statements reach the engine: those on a list, in the spelling that the engine's own parser gives them.

`rights` has what the engine itself refuses. It has no right for some ways out: files named by INTO OUTFILE and FROM
INFILE, the scalar function `file` and some others, table functions whose structure may hold expressions
(``format(CSV, 'a String DEFAULT file(...)', ...)``), disks named in a statement. They are found in the canonical
text of ``formatQuery``: one statement, no comments, keywords in capitals, names in one spelling. That text is also
what runs, so that what was looked at is what runs.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Set
from functools import lru_cache
from typing import NamedTuple

from drift.store.server.rights import ENGINES

CANONICAL_KEPT = 1024
#: Texts longer than this are not remembered.
KEPT_CHARS_MAX = 8_192
TOKENS_MAX = 1_000_000

#: Table functions that read no source and take no structure; `view` holds a statement that is seen here.
TABLE_FUNCTIONS = frozenset({
    "generate_series", "generateseries", "merge", "numbers", "numbers_mt", "one", "primes", "view", "zeros", "zeros_mt",
})  # fmt: skip
#: Functions that read files, the server's settings or a service, and the `disk` of a table's settings.
FUNCTIONS = frozenset({"catboostEvaluate", "disk", "file", "getMacro", "getServerSetting", "structureToFile"})
_FUNCTION_PREFIXES = re.compile(r"ai[A-Z]|addressTo|dictGet|dictHas|dictIs|joinGet|region[A-Z]")
_READER = (
    "SELECT", "WITH", "EXPLAIN", "DESCRIBE", "EXISTS", "USE", "SHOW COLUMNS", "SHOW CREATE", "SHOW DATABASES",
    "SHOW ENGINES", "SHOW EXTENDED", "SHOW FULL", "SHOW FUNCTIONS", "SHOW INDEXES", "SHOW SETTING", "SHOW SETTINGS",
    "SHOW TABLES",
)  # fmt: skip
_OWNER = (
    *_READER, "SHOW", "INSERT INTO", "CHECK", "SET", "CREATE DATABASE", "CREATE TABLE", "CREATE OR REPLACE TABLE",
    "CREATE TEMPORARY TABLE", "CREATE OR REPLACE TEMPORARY TABLE", "CREATE VIEW", "CREATE OR REPLACE VIEW",
    "CREATE MATERIALIZED VIEW", "ALTER TABLE", "DELETE FROM", "UPDATE", "DROP DATABASE", "DROP TABLE", "DROP VIEW",
    "DROP TEMPORARY TABLE", "TRUNCATE TABLE", "TRUNCATE DATABASE", "RENAME", "EXCHANGE", "OPTIMIZE TABLE", "KILL QUERY",
)  # fmt: skip
#: Never, wherever they stand, quotes aside.
_WORDS = (
    "INTO OUTFILE", "FROM INFILE", "INSERT INTO FUNCTION", "PARALLEL WITH", "SET ROLE", "SET DEFAULT",
    "SET TRANSACTION", "MOVE PARTITION", "FETCH PARTITION", "FETCH PART", "SQL SECURITY",
)  # fmt: skip
#: Tables of `system` that tell a reader about data and the dialect, and nothing of other clients or the machine.
SYSTEM_TABLES = frozenset({
    "aggregate_function_combinators", "collations", "columns", "contributors", "data_type_families", "databases",
    "formats", "functions", "keywords", "licenses", "numbers", "numbers_mt", "one", "settings", "table_engines",
    "table_functions", "tables", "time_zones", "zeros", "zeros_mt",
})  # fmt: skip
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|\w+|[^\s\w]", re.DOTALL)
_REMEDY = "ask for it on a ClickHouse of yours (clickhouse.url)"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Refused(Exception):
    """A statement that does not reach the engine; the text says why."""


class Token(NamedTuple):
    """One token: its name without quotes (empty for a string), and whether it was written in quotes."""

    name: str
    quoted: bool


class Gate:
    """Looks at statements.

    Parameters
    ----------
    canonical
        The engine's own spelling of one statement; raises where its parser refuses.
    table_functions, higher_order
        Names that the engine has: its table functions, and its functions that take other functions.
    """

    def __init__(
        self, canonical: Callable[[str], str], table_functions: Iterable[str], higher_order: Iterable[str]
    ) -> None:
        self._canonical = canonical
        self._table_functions = frozenset(name.lower() for name in table_functions) - TABLE_FUNCTIONS
        self._higher_order = frozenset(higher_order)
        self._kept = lru_cache(CANONICAL_KEPT)(self._look)

    def allowed(self, sql: str, parameters: Mapping[str, str], *, reader: bool) -> str:
        """Return the statement in the engine's spelling.

        Parameters
        ----------
        parameters
            Values of ``{name:Type}`` in the statement, as texts.
        reader
            Whether the user may only read.

        Raises
        ------
        Refused
            It is none of those that this user may give, or uses what nobody may.
        """
        text, identifiers = (self._kept if len(sql) <= KEPT_CHARS_MAX else self._look)(sql, reader)
        for name in identifiers:
            value = parameters.get(name, "")
            if value in FUNCTIONS or _FUNCTION_PREFIXES.match(value) or value == "system":
                raise Refused(f"parameter {name} names {value}, which is not reached by a parameter; write it out")
        return text

    def _look(self, sql: str, reader: bool) -> tuple[str, tuple[str, ...]]:
        if "\0" in sql:
            raise Refused("a statement with a zero byte came; send it without")
        text = self._canonical(sql)
        tokens = _tokens(text)
        _check_kind(text, tokens, reader)
        _check_words(tokens)
        self._check_names(tokens)
        if reader:
            _check_system(tokens)
        return text, _identifiers(tokens)

    def _check_names(self, tokens: list[Token]) -> None:
        """Refuse calls of what is on no list; names that a higher-order function or APPLY would call, too."""
        calls: list[str] = []  # of which function each open bracket holds the arguments; empty for none
        names = ["", "", *(token.name for token in tokens), "", "", ""]
        for at in range(2, len(names) - 3):
            name, before, after = names[at], names[at - 1], names[at + 1]
            if name == "(":
                calls.append(before)
            elif name == ")" and calls:
                calls.pop()
            elif not name or not (name[0].isalpha() or name[0] == "_"):
                continue
            elif after == "(":
                engine = before == "=" and names[at - 2] == "ENGINE" and name in ENGINES
                self._check_call(name, names[at + 2 : at + 4], engine=engine)
            elif (before == "APPLY" or (calls and calls[-1] in self._higher_order)) and _denied(name):
                raise Refused(f"{name} is no function for clients of the embedded store; {_REMEDY}")

    def _check_call(self, name: str, arguments: list[str], *, engine: bool) -> None:
        if _denied(name) or (name.lower() in self._table_functions and not engine):
            raise Refused(
                f"{name}(...) is not for clients of the embedded store: it reaches past its tables. Read files and "
                "addresses where you are, and insert what they hold"
            )
        if name.lower() == "merge" and not engine and arguments != ["currentDatabase", "("]:
            raise Refused("merge(...) takes currentDatabase() here, and no other database")


def _check_kind(text: str, tokens: list[Token], reader: bool) -> None:
    words = " ".join(token.name for token in tokens[:6] if token.name != "(")
    if not any(words == kind or words.startswith(kind + " ") for kind in (_READER if reader else _OWNER)):
        who = "the reader" if reader else "a client"
        raise Refused(f"{text[:60]!r} is no statement for {who} of the embedded store; {_REMEDY}")
    if words.startswith("CREATE"):
        _check_definition(tokens, frozenset({"Atomic"}) if words.startswith("CREATE DATABASE") else ENGINES)


def _check_definition(tokens: list[Token], engines: Set[str]) -> None:
    """Refuse engines that are on no list: the engine's own rights pass over some, such as Executable."""
    names = [token.name for token in tokens]
    for at in range(len(names) - 2):
        if names[at : at + 2] == ["ENGINE", "="] and names[at + 2] not in engines:
            raise Refused(
                f"ENGINE = {names[at + 2]} is not for the embedded store; it has {', '.join(sorted(engines))}"
            )
    if _identifiers(tokens):
        raise Refused("a view takes no parameter for a name here; write the name out")


def _check_words(tokens: list[Token]) -> None:
    bare = " ".join("'" if token.quoted else token.name for token in tokens)
    for words in _WORDS:
        if re.search(rf"(?<!\S){words}(?!\S)", bare):
            raise Refused(f"{words} is not for clients of the embedded store; {_REMEDY}")


def _check_system(tokens: list[Token]) -> None:
    for at, (name, _) in enumerate(tokens):
        if name != "system":
            continue
        before, after = (tokens[n].name if 0 <= n < len(tokens) else "" for n in (at - 1, at + 1))
        table = tokens[at + 2].name if after == "." and at + 2 < len(tokens) else ""
        if before == "USE" or (after == "." and table not in SYSTEM_TABLES):
            raise Refused(f"system.{table} is not for the reader; ask as the store's owner")


def _denied(name: str) -> bool:
    return name in FUNCTIONS or _FUNCTION_PREFIXES.match(name) is not None


def _identifiers(tokens: list[Token]) -> tuple[str, ...]:
    """Parameters that stand for a name, ``{name:Identifier}``."""
    names = [token.name for token in tokens]
    return tuple(names[at - 2] for at in range(2, len(names)) if names[at] == "Identifier" and names[at - 1] == ":")


def _tokens(text: str) -> list[Token]:
    tokens = []
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece[0] == "'":
            tokens.append(Token("", True))
        elif piece[0] in '`"' and len(piece) > 1:
            tokens.append(Token(_ESCAPED.sub(r"\1", piece[1:-1]), True))
        else:
            tokens.append(Token(piece, False))
    if len(tokens) > TOKENS_MAX:
        raise Refused(f"a statement of {len(tokens)} tokens came, at most {TOKENS_MAX} are read; insert rows as blocks")
    return tokens
