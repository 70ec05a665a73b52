"""Shadows score after those who answer, each in a thread of its own.

A shadow answers nobody, so nobody waits for it, however slow or broken it is. Its rows are handed over with the
micro-batch that they belong to, are scored once that is committed, and what it said leaves with a later transaction:

    process  ->  commit  ->  score  ->  leaves with the next micro-batch, or with a silence

A shadow that cannot keep up scores a part of the requests: while it has `ROWS_WAITING_MAX` rows before it, further
ones are left out, and counted. So are those that it has before it when the process ends: a shadow's rows are the only
ones here that a kill may lose. A replay scores those that were observed.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from inference.backends import Fatal, error_text
from inference.scoring.facts import RowsScored, ShadowFailed, ShadowRowsLeftOut
from inference.scoring.in_hand import ENDS_MAX, InHand
from inference.scoring.messages import passed, scored_runs
from inference.scoring.observations import observations
from inference.serving.scorer import Scorer
from streams.clock import ticks_ms
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.rows import Rows

#: Rows of committed requests that a shadow may have before it.
ROWS_WAITING_MAX = 20_000
#: Messages of shadows that no transaction has taken yet: beyond, rows are left out.
MESSAGES_WAITING_MAX = 1_000
#: A shadow that has ended processes is trusted again after so many batches: one that ends them now and then would else
#: do it for ever.
TRUSTED_AFTER = 1_000
#: In place of a record: what ended processes here is a version, since its rows do not come again.
_RECORD = ("shadow", 0, 0, 0, 0)

_Version = tuple[str, str]


class ShadowTask(msgspec.Struct, frozen=True):
    """Rows of some blocks, as one shadow sees them."""

    scorer: Scorer
    parts: list[tuple[Block, Rows]]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(len(rows) for _, rows in self.parts)


class _Handed(msgspec.Struct):
    """What belongs to one micro-batch: rows to score once it is committed, and messages that leave with it."""

    tasks: list[ShadowTask] = []
    results: list[Publish] = []


class Shadows:
    """Holds the rows of shadows until their requests are committed, scores them, and keeps what they said.

    Parameters
    ----------
    in_hand
        Makes what remembers over the process's end that a shadow was scoring, by ``model@version``: one that ended
        three processes, and scored no batch between, scores no more.
    run
        Runs what it is given for a version, in order and in another thread; tests run it at once.
    ticks
        Monotonic time in ms, for metrics.
    """

    def __init__(
        self,
        in_hand: Callable[[str], InHand] = lambda name: InHand(),
        run: Callable[[_Version, Callable[[], None]], object] | None = None,
        ticks: Callable[[], float] = ticks_ms,
    ) -> None:
        self._in_hand = in_hand
        self._hands: dict[_Version, InHand] = {}
        self._run = run or _Threads().run
        self._ticks = ticks
        self._lock = threading.Lock()
        self._in_flight: dict[int, _Handed] = {}
        self._newest = _Handed()
        self._results: deque[Publish] = deque()
        self._rows = Counter[_Version]()
        self._fatal: Fatal | None = None

    def hand_over(self, blocks: Sequence[Block], tasks: Sequence[ShadowTask]) -> None:
        """Take the rows of a micro-batch.

        Parameters
        ----------
        blocks
            The micro-batch; `committed` and `dropped` are called with the same object.
        tasks
            Its rows, by shadow.
        """
        self._newest = self._in_flight[id(blocks)] = _Handed([_without_values(task) for task in tasks])

    def results(self, blocks: Sequence[Block] | None = None) -> list[Publish]:
        """What shadows have said since, to leave with a micro-batch.

        Parameters
        ----------
        blocks
            The micro-batch, the same object; by default the one that was handed over last.

        Raises
        ------
        Fatal
            A shadow met what only a new process can mend.
        """
        if self._fatal is not None:
            raise self._fatal
        with self._lock:
            results = list(self._results)
            self._results.clear()
        handed = self._newest if blocks is None else self._in_flight[id(blocks)]
        handed.results += results
        return results

    def let_go(self) -> None:
        """This process is told to end: no shadow is at fault."""
        for hand in list(self._hands.values()):
            hand.let_go()

    def committed(self, blocks: Sequence[Block]) -> None:
        """Score the rows of a micro-batch that has been committed."""
        for task in self._in_flight.pop(id(blocks), _Handed()).tasks:
            name = task.scorer.package.name, task.scorer.package.version
            try:
                why = self._begin(name, task)
            except Exception as error:  # no thread could be started, say: it must not harm those who answer
                why = error_text(error)
            if why:
                ShadowRowsLeftOut(*name, task.rows, why).tell()

    def dropped(self, blocks: Sequence[Block]) -> None:
        """Forget the rows of a micro-batch, and keep what should have left with it."""
        results = self._in_flight.pop(id(blocks), _Handed()).results
        with self._lock:
            self._results.extendleft(reversed(results))

    def _begin(self, name: _Version, task: ShadowTask) -> str:
        """Begin to score; returns why not, where the rows are left out."""
        if name not in self._hands:
            self._hands[name] = self._in_hand("@".join(name))
        if (ends := self._hands[name].ends(*name, "shadow/0/0", 0)) >= ENDS_MAX:
            return f"{ends} processes ended while it was scoring; `driftline model route` names another version"
        with self._lock:
            if self._rows[name] > max(0, ROWS_WAITING_MAX - task.rows):
                return f"it has {ROWS_WAITING_MAX:,} rows before it"
            if len(self._results) > MESSAGES_WAITING_MAX:
                return f"{MESSAGES_WAITING_MAX:,} messages of shadows wait to leave"
            self._rows[name] += task.rows
        try:
            self._run(name, lambda: self._score(task))
        except BaseException:
            with self._lock:
                self._rows[name] -= task.rows
            raise
        return ""

    def _score(self, task: ShadowTask) -> None:
        package, started_ms, results = task.scorer.package, self._ticks(), list[Publish]()
        name = package.name, package.version
        try:
            with self._hands[name].holding(*name, [_RECORD]):
                scores = task.scorer(np.concatenate([rows.matrix for _, rows in task.parts]))
            first = 0
            for block, rows in task.parts:
                part = scores[first : first + len(rows)]
                first += len(rows)
                for scored in scored_runs(package, "shadow", *passed(rows, part)):
                    results += observations(scored, block)
            took_ms = self._ticks() - started_ms
            failed, padding = len(scores.failures), scores.padding
            RowsScored(*name, "shadow", task.rows, failed, padding, took_ms).tell()
        except Fatal as error:
            self._fatal = error
        except Exception as error:
            ShadowFailed(package.name, package.version, error_text(error)).tell()
        finally:
            with self._lock:
                self._rows[name] -= task.rows
                self._results.extend(results)


class _Threads:
    """Runs the calls of each name one after the other, in a daemon thread that ends when it has nothing to do.

    A call that hangs holds up those of its own name alone, and not the process's end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[_Version, deque[Callable[[], None]]] = {}

    def run(self, name: _Version, call: Callable[[], None]) -> None:
        with self._lock:
            waiting = self._calls.get(name)
            if waiting is not None:
                waiting.append(call)
                return
            self._calls[name] = deque([call])
        try:
            threading.Thread(target=self._loop, args=(name,), name=f"shadow-{'-'.join(name)}", daemon=True).start()
        except BaseException:
            with self._lock:
                del self._calls[name]
            raise

    def _loop(self, name: _Version) -> None:
        while True:
            with self._lock:
                if not self._calls[name]:
                    del self._calls[name]
                    return
                call = self._calls[name].popleft()
            call()


def _without_values(task: ShadowTask) -> ShadowTask:
    """The same task without the requests' bytes: an observation needs their places alone."""
    light = [(msgspec.structs.replace(block, keys=(), values=(), headers=()), rows) for block, rows in task.parts]
    return ShadowTask(task.scorer, light)
