"""Where the page's questions are asked: one query at a time, answers shared for a moment, the last good one kept.

A panel whose query fails goes on showing its last picture and says since when. Nothing here writes.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from typing import Any

import msgspec
import pandas as pd
from prometheus_client import CollectorRegistry, Counter, Histogram

from dashboards.macros import Range, expand
from dashboards.page.address import STRETCHES, Address
from dashboards.page.priority_lock import PriorityLock
from dashboards.panels import Panel

Query = Callable[[str, dict[str, Any]], pd.DataFrame]
Status = Callable[[], dict[str, Any]]
#: What an address says of time: counted back, or from and to.
Stretch = tuple[str, int | None, int | None]

#: How long an answer serves every reader: this long, and this many times as long as it took, so that no panel keeps
#: the store busy for more than a twentieth of the time, however many readers and rows there are.
ANSWER_MS_MIN = 1_500
ANSWER_TIMES_TAKEN = 20
#: Answers that are kept, at most; those that nobody has asked for the longest leave.
ANSWERS_MAX = 512
#: After a failure that took so long the store is left alone for a while: one that hangs would be waited for by every
#: panel of every reader in turn.
SLOW_FAILURE_MS = 1_000
AWAY_MS = 5_000
#: Readers that wait for the store at the most: others need a thread for what is kept.
WAITING_MAX = 10
#: And so many more whose question was answered before.
WAITING_AGAIN_MAX = 3
#: Where the store is busy with others' questions for longer than this, an answer so old is given again.
OLD_WAIT_S = 0.02
OLD_MS_MAX = 60_000
#: How old the roles' state may be.
LIVE_S_MAX = 1.0
#: Whoever waits for the store looks so often whether it is away.
_LOOK_S = 0.2
_DAY_MS = 86_400_000
#: Where the page chooses, it shows at least so many windows.
_WINDOWS_SHOWN = 24
_RANGE_SQL = "range"


class Busy(Exception):
    """Too many readers wait for the store."""


class _Away(ConnectionError):
    """The store did not answer a moment ago."""


class Answer(msgspec.Struct, frozen=True):
    """What a query gave: its frame, when that was asked, and what is wrong since, if anything."""

    frame: pd.DataFrame
    asked_ms: int
    trouble: str = ""
    took_ms: float = 0.0

    def serves(self, now_ms: int) -> bool:
        """Whether it is young enough to be given again."""
        age_ms = now_ms - self.asked_ms
        return not self.trouble and age_ms < max(ANSWER_MS_MIN, ANSWER_TIMES_TAKEN * self.took_ms)


class QueryCache:
    """Asks the store and the roles on behalf of all readers.

    Parameters
    ----------
    query
        Runs SQL with bound parameters (``{name:Type}``) and returns a frame. Called by one thread at a time.
    status
        The roles' live state; see `dashboards.page.live`.
    clock
        Milliseconds UTC.
    store_away
        Why the store does not answer now, or an empty text; known at once. While it says so the store is not asked, and
        nobody waits for it.
    """

    def __init__(
        self,
        query: Query,
        status: Status,
        clock: Callable[[], int] | None = None,
        store_away: Callable[[], str] = str,
    ) -> None:
        self._query = query
        self._status = status
        self.store_away = store_away
        self.clock = clock or (lambda: time.time_ns() // 1_000_000)
        self._store_lock = PriorityLock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._last_status: tuple[float, dict[str, Any]] = (-math.inf, {})
        self._away = (0, "")  # until when nothing is asked after a long wait for nothing, and what came of it
        self._answers: dict[tuple[Any, ...], Answer] = {}
        self.registry = CollectorRegistry()
        self._took = Histogram("driftline_page_query_seconds", "Time of a query.", ["query"], registry=self.registry)
        self._failed = Counter(
            "driftline_page_query_failures", "Queries that failed.", ["query"], registry=self.registry
        )

    def ask(self, panel: Panel, over: Range, variables: Mapping[str, str], stretch: Stretch) -> Answer:
        """Answer a panel's question; an empty frame where there has never been an answer.

        Parameters
        ----------
        over
            What is put into the query's macros.
        variables
            Values of the query's variables: ``model`` and others, as the panel's SQL names them.
        stretch
            What the address says of time: an answer serves all who ask for the same stretch, though `over` moves on.
        """
        sql, parameters = expand(panel.sql, over, dict(variables))
        # A live range moves with every window: what is kept is known by the stretch that was asked for.
        known_by = (panel.name, stretch, *sorted(parameters.items()))
        return self._ask(panel.name, known_by, sql, parameters, panel.columns)

    def range(self, address: Address) -> Range:
        """The stretch that an address shows: pinned, counted back from the newest data, or at most its last day.

        What is not pinned reaches back to the begin of the newest window: a stretch without any would show nothing.
        """
        text = resources.files("dashboards").joinpath("queries", f"{_RANGE_SQL}.sql").read_text()
        columns = ("oldest_ms", "newest_ms", "window_ms", "newest_window_ms")
        sql, parameters = expand(text, Range(0, 0), {"model": address.model})
        known = self._ask(_RANGE_SQL, (_RANGE_SQL, address.model), sql, parameters, columns).frame
        oldest, newest, window, newest_window = (int(known[name].iloc[0]) if len(known) else 0 for name in columns)
        end = address.end_ms or newest or self.clock()
        start = address.start_ms
        if start is None:
            shown = STRETCHES[address.last] if address.last else max(_DAY_MS, _WINDOWS_SHOWN * window)
            start = end - shown if address.last else max(oldest, end - shown)
            start = min(start, newest_window or start)
        return Range(min(start, end), end, max(window, 60_000))

    def live(self) -> dict[str, Any]:
        """The roles' state, a second old at most; empty where nobody can tell."""
        asked_s, state = self._last_status
        if time.monotonic() - asked_s > LIVE_S_MAX:
            try:
                state = self._status()
            except Exception as error:
                state = {"trouble": str(error)}
            self._last_status = (time.monotonic(), state)
        return state

    def probe(self) -> str:
        """Why the store does not answer, or an empty text."""
        if away := self.store_away():
            return away
        self._store_lock.acquire(again=True)
        try:
            self._query("SELECT 1", {})
        except Exception as error:
            return str(error)
        finally:
            self._store_lock.release()
        return ""

    @contextmanager
    def _store_free(self, wait_s: float | None, again: bool) -> Iterator[bool]:
        """Wait for the store to be free, so long or until it is away; yields whether it is."""
        with self._counting:
            crowded = self._waiting >= WAITING_MAX + again * WAITING_AGAIN_MAX
            self._waiting += not crowded
        if crowded and wait_s is None:
            raise Busy(f"{WAITING_MAX} readers wait for the store already; ask again in a second")
        if crowded:
            yield False
            return
        try:
            mine = self._store_lock.acquire(again=again, timeout_s=_LOOK_S if wait_s is None else wait_s)
            while not mine and wait_s is None and not self.store_away():
                mine = self._store_lock.acquire(again=again, timeout_s=_LOOK_S)
        finally:
            with self._counting:
                self._waiting -= 1
        try:
            yield mine
        finally:
            if mine:
                self._store_lock.release()

    def _ask(
        self, name: str, known_by: tuple[Any, ...], sql: str, parameters: dict[str, Any], columns: tuple[str, ...]
    ) -> Answer:
        kept = self._kept(known_by)
        now = self.clock()
        if kept and kept.serves(now):
            return kept
        if away := self.store_away():
            return _stale(kept, away, columns, now)
        may_be_old = kept is not None and not kept.trouble and now - kept.asked_ms < OLD_MS_MAX
        with self._store_free(OLD_WAIT_S if may_be_old else None, again=kept is not None) as mine:
            if not mine:
                assert kept is not None or not may_be_old
                return kept if kept and may_be_old else _stale(kept, self.store_away(), columns, now)
            now = self.clock()
            kept = self._kept(known_by)
            if kept and kept.serves(now):
                return kept
            started = time.perf_counter()
            try:
                until_ms, failed = self._away
                if now < until_ms:
                    raise _Away(failed)
                frame = self._query(sql, parameters)
                took_s = time.perf_counter() - started
                self._took.labels(name).observe(took_s)
                answer = Answer(frame, now, took_ms=took_s * 1000)
            except Exception as error:
                self._failed.labels(name).inc()
                answer = _stale(kept, str(error), columns, now)
                if (time.perf_counter() - started) * 1000 > SLOW_FAILURE_MS:
                    self._away = (self.clock() + AWAY_MS, str(error))
            with self._counting:
                self._answers.pop(known_by, None)
                self._answers[known_by] = answer
                while len(self._answers) > ANSWERS_MAX:
                    self._answers.pop(next(iter(self._answers)))
            return answer

    def _kept(self, known_by: tuple[Any, ...]) -> Answer | None:
        """What was answered before; what is asked for often is thrown away last."""
        with self._counting:
            kept = self._answers.pop(known_by, None)
            if kept:
                self._answers[known_by] = kept
        return kept


def _stale(kept: Answer | None, trouble: str, columns: tuple[str, ...], now_ms: int) -> Answer:
    """What was answered before, or nothing, and what is wrong since."""
    before = kept or Answer(pd.DataFrame(columns=list(columns)), now_ms)
    return Answer(before.frame, before.asked_ms, trouble or "the store did not answer a moment ago")
