"""The pipeline: micro-batches are processed, committed in order, and read again where something fails.

    micro-batch 1   |- process -|- commit ----|
    micro-batch 2               |- process -| |- commit ----|
    micro-batch 3                             |- process -| |- ...

While one commits, the next is processed; commits are strictly in order, and no more than two hold their effects in
memory. A step may leave its `Work` to somebody else, a device. Then `process` begins a micro-batch, and

    micro-batch 1   |- begin -|- compute --------|- finish -|- commit -|
    micro-batch 2                      |- begin -|- compute --------|- finish -|- commit -|

Whatever fails, in a step or in a commit, ends the same way: nothing of the micro-batch is visible, everything
in flight is dropped and read again from what is committed, after a growing pause. Nothing is skipped.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

from streams.away import Away
from streams.clock import now_ms, ticks_ms
from streams.fatal import Fatal
from streams.runtime.handover import Stuck
from streams.runtime.microbatch import MicroBatch
from streams.runtime.stage import Step, Work
from streams.runtime.telemetry import Gauges
from streams.runtime.transactions import Processed

#: Before what failed is read again: once, twice... in a row.
PAUSES_S = (0.1, 0.3, 1.0, 3.0, 5.0)

Made = TypeVar("Made")
#: Commits blocks and silences with their effects, as the member that read them.
Commit = Callable[[Sequence[Processed], Any], object]


class _Progress(NamedTuple):
    """What a step has made of a micro-batch so far: its effects, or work; effects of silences; how long it took, ms."""

    made: "Sequence[Any] | Work"
    idle: list[Processed]
    took_ms: float


class _LockChain:
    """A micro-batch's place in the pipeline: the next one is taken before the last is let go, so none is overtaken."""

    def __init__(self) -> None:
        self._taken: asyncio.Lock | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    async def next(self, lock: asyncio.Lock) -> None:
        await lock.acquire()
        self._let_go()
        self._taken = lock

    def _let_go(self) -> None:
        if self._taken is not None:
            self._taken.release()
            self._taken = None


class Pipeline:
    """Passes micro-batches through a step and commits what follows.

    A step, what it leaves to others, and its commits run in a thread each, so that none holds up the event loop.

    Parameters
    ----------
    name
        The step's name in logs, threads and metrics.
    step
        Processes blocks.
    gauges
        What it tells of itself.
    commit_s_max
        How long a commit may take; None as long as it likes.
    pause
        Waits for so many seconds.

    Attributes
    ----------
    away
        Whether the last failure was for want of something that does not answer now.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        gauges: Gauges | None = None,
        *,
        commit_s_max: float | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.away = False
        self._step = step
        self._gauges = gauges or Gauges(name)
        self._commit_s_max = commit_s_max
        self._pause = pause
        self._failures = 0
        self._processing, self._committing = asyncio.Lock(), asyncio.Lock()
        self._computing, self._finishing = asyncio.Lock(), asyncio.Lock()
        self._threads = {part: ThreadPoolExecutor(1, f"{name}-{part}") for part in ("process", "compute", "commit")}

    async def run(self, batches: AsyncIterable[MicroBatch], commit: Commit) -> None:
        """Pass on micro-batches until there are no more.

        Parameters
        ----------
        batches
            In the order in which they were read.
        commit
            Makes their effects visible, or raises; called in a thread.

        Raises
        ------
        Fatal
            Only a new process can go on.
        """
        try:
            async with asyncio.TaskGroup() as passing:
                async for batch in batches:
                    passing.create_task(self._pass(batch, commit))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def stop(self, wait_s: float) -> bool:
        """Begin no further commit; returns whether the one under way has ended in time."""
        try:
            await asyncio.wait_for(self._committing.acquire(), wait_s)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Let the threads go."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    async def _pass(self, batch: MicroBatch, commit: Commit) -> None:
        with batch, _LockChain() as locks:
            await locks.next(self._processing)
            progress = await self._attempt("process", batch, partial(self._begin, batch))
            if progress is not None and isinstance(progress.made, Work):
                progress = await self._elsewhere(batch, progress.made, progress, locks)
            else:  # it overtakes none that computes
                for lock in (self._computing, self._finishing):
                    async with lock:
                        pass
            committed = None
            if progress is not None:
                processed = self._processed(batch, progress)
                await locks.next(self._committing)  # before the next one is processed
                committed = await self._attempt("commit", batch, partial(self._commit, batch, processed, commit))
            (self._step.dropped if committed is None else self._step.committed)(batch.blocks)

    async def _elsewhere(
        self, batch: MicroBatch, work: Work, progress: _Progress, locks: _LockChain
    ) -> _Progress | None:
        """Let somebody else do the work, while the step's thread has others; None where the micro-batch is dropped."""
        batch.prepared()
        await locks.next(self._computing)
        computed = await self._attempt("process", batch, partial(self._compute, batch, work, progress))
        if computed is None:
            return None
        await locks.next(self._finishing)
        return await self._attempt("process", batch, partial(self._finish, work, computed))

    async def _attempt(self, part: str, batch: MicroBatch, attempt: Callable[[], Awaitable[Made]]) -> Made | None:
        """Do one part of the work; None where the micro-batch is dropped, before it or by its failure."""
        if batch.dropped:
            return None
        try:
            return await attempt()
        except Fatal:
            batch.rewind()  # what waits behind it must not commit before the others know
            raise
        except Exception as error:
            await self._again(batch, error, part)
            return None

    async def _begin(self, batch: MicroBatch) -> _Progress:
        progress: _Progress = await self._in_thread("process", self._run_step, batch)
        return progress

    async def _compute(self, batch: MicroBatch, work: Work, progress: _Progress) -> _Progress:
        batch.computing()
        try:
            _, took_ms = await self._in_thread("compute", _timed, work.compute)
        finally:
            batch.computed()
        return progress._replace(took_ms=progress.took_ms + took_ms)

    async def _finish(self, work: Work, progress: _Progress) -> _Progress:
        made, took_ms = await self._in_thread("process", _timed, work.finish)
        return progress._replace(made=made, took_ms=progress.took_ms + took_ms)

    def _processed(self, batch: MicroBatch, progress: _Progress) -> list[Processed]:
        assert not isinstance(progress.made, Work), progress
        self._gauges.processed(progress.took_ms)
        batch.processed()
        return [*zip(batch.blocks, progress.made, strict=True), *progress.idle]

    def _run_step(self, batch: MicroBatch) -> _Progress:
        started_ms = ticks_ms()
        made = self._step.process(batch.blocks)
        idle: list[Processed] = []
        for silent in batch.idle:
            answer = self._step.asleep if silent.asleep else self._step.idle
            of_silence = answer(silent.topic, silent.partition)
            idle += [(silent, of_silence)] if of_silence.publish else []
        return _Progress(made, idle, ticks_ms() - started_ms)

    async def _commit(self, batch: MicroBatch, processed: list[Processed], commit: Commit) -> list[Processed]:
        batch.committing()
        started_ms = ticks_ms()
        committing = self._in_thread("commit", commit, processed, batch.membership)
        if not (await asyncio.wait({committing}, timeout=self._commit_s_max))[0]:
            raise Stuck(f"a commit has not returned for {self._commit_s_max:.0f} s")
        committing.result()
        self._failures = 0
        self._gauges.committed(batch.times(), ticks_ms() - started_ms, now_ms())
        return processed

    async def _again(self, batch: MicroBatch, error: Exception, part: str) -> None:
        """Nothing of the micro-batch is visible; it is read again, once it is left after a pause that grows."""
        pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        self.away = isinstance(error, Away)
        self._gauges.failed(part, error, self._failures)
        batch.rewind()
        await self._pause(pause_s)

    def _in_thread(self, part: str, call: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().run_in_executor(self._threads[part], call, *args)


def _timed(call: Callable[[], Made]) -> tuple[Made, float]:
    """What a call returns, and how many milliseconds it took."""
    started_ms = ticks_ms()
    made = call()
    return made, ticks_ms() - started_ms
