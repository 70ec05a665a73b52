"""The pipeline: micro-batches are processed, committed in order, and read again where something fails.

    micro-batch 1   |- process -|- commit ----|
    micro-batch 2               |- process -| |- commit ----|
    micro-batch 3                             |- process -| |- ...

While one commits, the next is processed; commits are strictly in order, and no more than two hold their effects in
memory. Whatever fails, in a step or in a commit, ends the same way: nothing of the micro-batch is visible, everything
in flight is dropped and read again from what is committed, after a growing pause. Nothing is skipped.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import Any

from streams.away import Away
from streams.clock import now_ms, ticks_ms
from streams.fatal import Fatal
from streams.runtime.handover import Stuck
from streams.runtime.microbatch import MicroBatch
from streams.runtime.stage import Step
from streams.runtime.telemetry import Gauges
from streams.runtime.transactions import Processed

#: Before what failed is read again: once, twice... in a row.
PAUSES_S = (0.1, 0.3, 1.0, 3.0, 5.0)

#: Commits blocks and silences with their effects, as the member that read them.
Commit = Callable[[Sequence[Processed], Any], object]


class Pipeline:
    """Passes micro-batches through a step and commits what follows.

    A step and its commits run in a thread each, so that neither holds up the event loop. A step that waits for
    another worker, a GPU's say, returns an awaitable instead of its effects, and blocks nobody.

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
        self._threads = {part: ThreadPoolExecutor(1, f"{name}-{part}") for part in ("process", "commit")}

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
        with batch:
            async with self._processing:
                processed = await self._attempt("process", batch, lambda: self._process(batch))
                if processed is None:
                    self._step.dropped(batch.blocks)
                    return
                await self._committing.acquire()  # before the next one is processed
            try:
                committed = await self._attempt("commit", batch, lambda: self._commit(batch, processed, commit))
                (self._step.dropped if committed is None else self._step.committed)(batch.blocks)
            finally:
                self._committing.release()

    async def _attempt(
        self, part: str, batch: MicroBatch, attempt: Callable[[], Awaitable[list[Processed]]]
    ) -> list[Processed] | None:
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

    async def _process(self, batch: MicroBatch) -> list[Processed]:
        effects, idle, took_ms = await self._in_thread("process", self._run_step, batch)
        if isawaitable(effects):  # the thread is free meanwhile
            waited_from_ms = ticks_ms()
            effects = await effects
            took_ms += ticks_ms() - waited_from_ms
        self._gauges.processed(took_ms)
        batch.processed()
        return [*zip(batch.blocks, effects, strict=True), *idle]

    def _run_step(self, batch: MicroBatch) -> tuple[Any, list[Processed], float]:
        started_ms = ticks_ms()
        effects = self._step.process(batch.blocks)
        idle: list[Processed] = []
        for silent in batch.idle:
            answer = self._step.asleep if silent.asleep else self._step.idle
            of_silence = answer(silent.topic, silent.partition)
            idle += [(silent, of_silence)] if of_silence.publish else []
        return effects, idle, ticks_ms() - started_ms

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
