"""chdb, the ClickHouse engine inside this process: its directory, its connections, and the ways around its traps.

What was learnt of chdb 4.4: rows go in by a file (its streaming insert swallows the errors of constraints and
views, and Native bytes in the statement lose all blocks but the first); two operations never run on one
connection; the engine stops with the last connection, so one is held.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from drift.store.front.packets import Setting
from drift.store.front.statements import quoted
from streams.private import private_folder

OPEN_WAIT_S_MAX = 10.0
#: What holds unless a client says otherwise.
_BASE = {"async_insert": "0", "output_format_native_write_json_as_string": "1"}
_CODE = re.compile(r"Code: (\d+)\. (?:DB::Exception: )?")
_UNKNOWN_SETTING = 115


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
        found = _CODE.search(str(error))
        return cls(int(found[1]) if found else 1002, str(error)[found.end() :] if found else str(error))


class Engine:
    """The open directory. ``folder/engine`` is chdb's, ``folder/spool`` holds inserts that are on their way."""

    def __init__(self, folder: Path) -> None:
        from chdb import _chdb

        self._connect: Callable[[str], Any] = _chdb.connect  # type: ignore[attr-defined]
        self._path = folder / "engine"
        self.spool = folder / "spool"
        private_folder(self.spool)
        self._numbers = count()
        self._held = EngineConnection(self._open)
        for left_over in self.spool.iterdir():  # A crash came before these inserts; their clients know.
            left_over.unlink()
        self._killing = threading.Lock()
        self.version, self.timezone = self._held.lines("SELECT version(), timezone()")[0]
        self.settings = frozenset(name for (name,) in self._held.lines("SELECT name FROM system.settings"))

    def _open(self) -> Any:
        """Open the directory, waiting a little for a predecessor that is just leaving."""
        deadline = time.monotonic() + OPEN_WAIT_S_MAX
        while True:
            try:
                return self._connect(str(self._path))
            except RuntimeError as error:
                if time.monotonic() > deadline:
                    raise EngineError(
                        76, f"cannot open {self._path}: {error}; is another store using the directory?"
                    ) from error
                time.sleep(0.2)

    def connect(self) -> "EngineConnection":
        """Open one more connection; cheap (0.2 ms)."""
        return EngineConnection(lambda: self._connect(str(self._path)))

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


class EngineConnection:
    """One chdb connection, for one thread: it keeps USE, SET and temporary tables of its own."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection = connect()
        self._database = "default"
        self._applied: dict[str, str] = {}
        self._set(_BASE)

    def aside(self) -> "EngineConnection":
        """Open another connection with the same database and settings, to ask something while this one is at work."""
        other = EngineConnection(self._connect)
        other.use(self._database)
        other._set(self._applied)
        return other

    def use(self, database: str) -> None:
        """Make a database the current one."""
        self.run(f"USE `{database.replace('`', '``')}`")
        self._database = database

    def note_database(self) -> None:
        """See which database is current, after a client's own USE."""
        self._database = self.lines("SELECT currentDatabase()")[0][0]

    def run(self, sql: str, parameters: Mapping[str, str] | None = None, form: str = "Native") -> bytes:
        """Run a statement to its end and return what it gave."""
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

    def apply(self, settings: Sequence[Setting], known: frozenset[str]) -> None:
        """Make a query's settings hold, and those of the one before no longer."""
        if unknown := next((s.name for s in settings if s.important and s.name not in known), None):
            raise EngineError(_UNKNOWN_SETTING, f"Unknown setting {unknown!r}")
        self._set(_BASE | {s.name: s.value for s in settings if s.name in known})

    def _set(self, wanted: Mapping[str, str]) -> None:
        if wanted == self._applied:
            return
        changes = [f"{name}={quoted(value)}" for name, value in wanted.items() if self._applied.get(name) != value]
        changes += [f"{name}=DEFAULT" for name in self._applied if name not in wanted]
        self.run("SET " + ", ".join(changes))
        self._applied = dict(wanted)

    def close(self) -> None:
        """Close the connection; what it was doing must have ended."""
        self._connection.close()
