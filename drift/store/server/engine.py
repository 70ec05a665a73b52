"""chdb, the ClickHouse engine inside this process: its directory, its connections, and the ways around its traps.

What was learnt of chdb 4.4: rows go in by a file (its streaming insert swallows the errors of constraints and
views, and Native bytes in the statement lose all blocks but the first); two operations never run on one
connection; the engine stops with the last connection, so one is held.
"""

import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from drift.store.server.gate import Gate, Refused
from drift.store.server.packets import Setting
from drift.store.server.rights import READER_MAY_SET, default_database, reader_settings, write_configuration
from drift.store.server.statements import quoted, quoted_name
from streams.private import private_folder

OPEN_WAIT_S_MAX = 10.0
#: What holds unless a client says otherwise.
_BASE = {"async_insert": "0", "output_format_native_write_json_as_string": "1"}
_CODE = re.compile(r"Code: (\d+)\. (?:DB::Exception: )?")
_UNKNOWN_SETTING = 115
_READONLY = 164
_ACCESS_DENIED = 497
#: Longer statements are refused before they are parsed; rows have no such bound, they are no part of it.
STATEMENT_CHARS_MAX = 1 << 20


class EngineError(Exception):
    """The engine, or we in its name, refused a statement."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, error: Exception) -> "EngineError":
        """Read ClickHouse's code out of chdb's text.

        >>> EngineError.of(RuntimeError("Code: 60. DB::Exception: no such table")).code
        60
        """
        match = _CODE.search(str(error))
        return cls(int(match[1]) if match else 1002, str(error)[match.end() :] if match else str(error))


class Engine:
    """The open directory. ``folder/engine`` is chdb's, ``folder/spool`` holds inserts that are on their way."""

    def __init__(self, folder: Path) -> None:
        from chdb import _chdb

        self._chdb_connect: Callable[[str], Any] = _chdb.connect  # type: ignore[attr-defined]
        self._path = folder / "engine"
        self.spool = folder / "spool"
        private_folder(self.spool)
        self._numbers = count()
        # Elsewhere than the data: the engine's way to name a file takes no "&" and no "?".
        self._configured = Path(tempfile.mkdtemp(prefix="driftline-store-"))
        try:
            self._open(write_configuration(self._configured, folder / "nothing"))
        except BaseException:
            shutil.rmtree(self._configured)
            raise

    def _open(self, configuration: Path) -> None:
        self._held = EngineConnection(lambda: self._first(configuration))
        for left_over in self.spool.iterdir():  # A crash came before these inserts; their clients know.
            left_over.unlink()
        for statement in default_database(self._path / "metadata"):
            self._held.run(statement)
        self._killing = threading.Lock()
        self.version, self.timezone = self._held.lines("SELECT version(), timezone()")[0]
        #: Names, and values where no client said otherwise.
        self.settings: dict[str, str] = dict(self._held.lines("SELECT name, value FROM system.settings"))
        table_functions, higher_order = self._held.lines(
            "SELECT (SELECT groupArray(name) FROM system.table_functions),"
            " (SELECT groupArray(name) FROM system.functions WHERE higher_order)"
        )[0]
        self._gate = Gate(self._canonical, table_functions, higher_order)

    def _first(self, configuration: Path) -> Any:
        """Open the directory, waiting a little for a predecessor that is just leaving."""
        deadline = time.monotonic() + OPEN_WAIT_S_MAX
        while True:
            try:
                return self._chdb_connect(f"{self._path}?config-file={configuration}")
            except RuntimeError as error:
                if time.monotonic() > deadline:
                    raise EngineError(
                        76, f"cannot open {self._path}: {error}; is another store using the directory?"
                    ) from error
                time.sleep(0.2)

    def connect(self, *, reader: bool = False) -> "EngineConnection":
        """Open one more connection; cheap (0.2 ms). A reader's changes nothing."""
        return EngineConnection(lambda: self._chdb_connect(str(self._path)), reader=reader)

    def allowed(self, sql: str, parameters: Mapping[str, str], *, reader: bool) -> str:
        """The engine's spelling of a statement that this user may give.

        Parameters
        ----------
        parameters
            Values of ``{name:Type}`` in the statement, as texts.
        reader
            Whether the user may only read.

        Raises
        ------
        EngineError
            It may not; or the engine's parser refuses.
        """
        try:
            return self._gate.allowed(sql, parameters, reader=reader)
        except Refused as error:
            raise EngineError(_ACCESS_DENIED, str(error)) from None

    def _canonical(self, sql: str) -> str:
        if len(sql) > STATEMENT_CHARS_MAX:
            raise Refused(f"a statement of {len(sql)} characters came, at most {STATEMENT_CHARS_MAX}; bind parameters")
        with self._killing:
            text: str = self._held.lines(f"SELECT formatQuery({quoted(sql)})")[0][0]
        return text

    def number(self) -> int:
        """A number that nobody else has, for a statement's tag or a spool's name."""
        return next(self._numbers)

    def kill(self, tag: str) -> None:
        """Stop the statement that begins with `tag`, if it still runs."""
        with self._killing:
            self._held.run(f"KILL QUERY WHERE startsWith(query, '{tag}') ASYNC")

    def close(self) -> None:
        """Close the held connection; the engine stops when all others are closed too."""
        self._held.close()
        shutil.rmtree(self._configured, ignore_errors=True)


class EngineConnection:
    """One chdb connection, for one thread: it keeps USE, SET and temporary tables of its own.

    A reader's is ``readonly``, which the engine never takes back on the same connection: other settings mean
    another connection.
    """

    def __init__(self, connect: Callable[[], Any], *, reader: bool = False) -> None:
        self._connect = connect
        self._reader = reader
        self._database = "default"
        self._begin()
        self._set(_BASE)

    def _begin(self) -> None:
        self._connection = self._connect()
        self._applied: dict[str, str] = {}

    def aside(self) -> "EngineConnection":
        """Open another connection with the same database and settings, to ask something while this one is at work."""
        other = EngineConnection(self._connect, reader=self._reader)
        other.use(self._database)
        other._set(self._applied)
        return other

    def use(self, database: str) -> None:
        """Make a database the current one."""
        self.run(f"USE {quoted_name(database)}")
        self._database = database

    def note_database(self) -> None:
        """See which database is current, after a client's own USE."""
        self._database = self.lines("SELECT currentDatabase()")[0][0]

    def run(self, sql: str, parameters: Mapping[str, str] | None = None, form: str = "Native") -> bytes:
        """Run a statement to its end and return what it gave.

        Parameters
        ----------
        parameters
            Values of ``{name:Type}`` in the statement, as texts.
        form
            ClickHouse's name of the output format.
        """
        try:
            return bytes(self._connection.query(sql, form, params=dict(parameters or {})).bytes())
        except RuntimeError as error:
            raise EngineError.of(error) from None

    def stream(self, sql: str, parameters: Mapping[str, str]) -> Iterator[bytes]:
        """Run a SELECT and yield Native blocks while it goes on."""
        result = None
        try:
            result = self._connection.send_query(sql, "Native", params=dict(parameters))
            while True:
                chunk = self._connection.streaming_fetch_result(result)
                if chunk is None or not len(chunk):
                    result = None
                    return
                yield bytes(chunk.bytes())
        except RuntimeError as error:
            result = None
            raise EngineError.of(error) from None
        finally:
            if result is not None:  # The reader went before the end.
                self._connection.streaming_cancel_query(result)

    def lines(self, sql: str, parameters: Mapping[str, str] | None = None) -> list[list[str]]:
        """Run a statement of few rows and return them as JSON values."""
        return [json.loads(line) for line in self.run(sql, parameters, "JSONCompactEachRow").splitlines()]

    def describe(self, select: str, parameters: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
        """Names and types of a SELECT's columns."""
        return [(row[0], row[1]) for row in self.lines(f"DESCRIBE ({select}\n)", parameters)]

    def meta(self, sql: str, parameters: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
        """Names and types of what any statement gives, by running it."""
        given = json.loads(self.run(sql, parameters, "JSONCompact"))
        return [(column["name"], column["type"]) for column in given["meta"]]

    def apply(self, settings: Sequence[Setting], known: Mapping[str, str]) -> None:
        """Make a query's settings hold, and those of the one before no longer."""
        if unknown := next((s.name for s in settings if s.important and s.name not in known), None):
            raise EngineError(_UNKNOWN_SETTING, f"Unknown setting {unknown!r}")
        wanted = {s.name: s.value for s in settings if s.name in known}
        if self._reader:
            wanted = {name: value for name, value in wanted.items() if name != "readonly" and value != known[name]}
            if fixed := next((name for name in wanted if name not in READER_MAY_SET), None):
                raise EngineError(_READONLY, f"Cannot modify {fixed!r} setting in readonly mode")
        self._set(_BASE | wanted)

    def _set(self, wanted: Mapping[str, str]) -> None:
        wanted = reader_settings(wanted) if self._reader else wanted
        if wanted == self._applied:
            return
        if self._reader and self._applied:
            self.close()
            self._begin()
            self.use(self._database)
        changes = [f"{name}={quoted(value)}" for name, value in wanted.items() if self._applied.get(name) != value]
        changes += [f"{name}=DEFAULT" for name in self._applied if name not in wanted]
        self.run("SET " + ", ".join(changes))
        self._applied = dict(wanted)

    def close(self) -> None:
        """Close the connection; what it was doing must have ended."""
        self._connection.close()
