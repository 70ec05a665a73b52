"""The shell: a Faust agent that takes turns from a feed, has a step fold them, and settles what follows.

Faust supervises, serves HTTP and runs the agents; records are never Faust events here (59 us each). The agent's channel
carries turns. While one turn settles, the next is folded; settlement itself is strictly in order.

Whatever goes wrong in a fold or a settlement ends the same way: nothing of the turn is visible, every stage is
forgotten, and the feed reads again from what is committed, after a growing pause. Nothing is skipped.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import faust
import structlog
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from streams.away import Away
from streams.clock import now_ms, ticks_ms
from streams.kafka.admin import foreign_partitions
from streams.kafka.cluster import Cluster
from streams.runtime.consumer import Feed, FeedLimits
from streams.runtime.handover import Stuck, Turn
from streams.runtime.set_aside import SetAside
from streams.runtime.splitting import Weigh
from streams.runtime.stage import Step
from streams.runtime.start_offsets import Starts
from streams.runtime.telemetry import Gauges
from streams.runtime.transactions import Aborted, Fenced, Outbox, Settled

log = structlog.get_logger("streams.runtime.agent")

_PAUSE_S = (0.1, 0.3, 1.0, 3.0, 5.0)
_STUCK_S = 5.0
_OPEN_S = 120.0
#: `/readyz` names what was set aside for so long; the dead letters stay.
_ASIDE_TOLD_MS = 3_600_000

#: Settles blocks and silences with their effects, as the member that read them.
Settle = Callable[[Sequence[Settled], Any], object]


class TurnChannel(faust.Channel):  # type: ignore[misc]
    """A channel that Faust's own consumer has no say over. The stock one holds everything back while that consumer
    rebalances, which may take minutes, and clears its queue then: a turn that vanished would never be settled."""

    _queue: Any

    @property
    def queue(self) -> Any:
        """The queue behind one subscriber."""
        if self._queue is None:
            flows = FlowControlEvent(initially_suspended=False)  # and nobody suspends it
            self._queue = ThrowableQueue(maxsize=0, flow_control=flows)  # one that is full may change their order
        return self._queue


class Shell:
    """Runs one step over one group's share of some topics.

    Parameters
    ----------
    app
        The Faust app that supervises.
    name
        The step's name in groups, transactional ids, logs and metrics: ``score``, ``count``...
    cluster, topics
        What it reads.
    step
        What it runs.
    writes
        Topics that the step publishes to.
    slot
        Names this process among those of its role; stable over restarts.
    weigh
        Tells how many answers records ask for; each asks for one by default.
    hold
        Why nothing may be read yet, or None: see `Feed`.
    may_be_held
        Nobody minds: the process is ready all the same.
    alike
        Topics of ours that must have as many partitions as what it reads.
    absent
        What some of the records wait for, in a sentence, while others are answered: the process is not ready.
    behind
        What is not as it should be while every record is answered, in a sentence.
    settle
        Makes another settlement than one transaction a turn (`streams.runtime.intents`), from the feed and the slot's
        outbox.
    set_aside
        What the step sets aside, for the status page and `/readyz`.
    client
        What the group's coordinator knows this process by; see `Role`.
    """

    def __init__(
        self,
        app: faust.App,
        name: str,
        cluster: Cluster,
        topics: Sequence[str],
        step: Step,
        *,
        writes: Sequence[str] = (),
        slot: str,
        limits: FeedLimits | None = None,
        starts: Starts | None = None,
        weigh: Weigh | None = None,
        hold: Callable[[], str | None] | None = None,
        may_be_held: bool = False,
        alike: Sequence[str] = (),
        absent: Callable[[], str] = str,
        behind: Callable[[], str] = str,
        settle: Callable[[Feed, Outbox], Settle] | None = None,
        set_aside: SetAside | None = None,
        client: str = "",
    ) -> None:
        self.name = name
        self.gauges = Gauges(name)
        self._app = app
        self._cluster = cluster
        self._step = step
        self._reads, self._writes = topics, writes
        self._slot = slot
        self._channel = TurnChannel(app)
        self._feed = Feed(
            cluster,
            name,
            topics,
            step,
            hand_over=self._hand_over,
            crash=self._crash,
            limits=limits,
            starts=starts,
            weigh=weigh,
            hold=hold,
            consumer_options={"client.id": client} if client else None,
            alike=alike,
        )
        self._may_be_held = may_be_held
        self._absent, self._behind = absent, behind
        self._set_aside = set_aside
        self._settling: asyncio.Task[None] | None = None
        self._failures = 0
        self._away = False  # whether the last failure was for want of something that is away
        self._threads = {kind: ThreadPoolExecutor(1, f"{name}-{kind}") for kind in ("fold", "settle")}
        self._settles = settle or _in_one_transaction
        # librdkafka bounds each request by the transaction's time-out, but where the broker that it held for the
        # group's coordinator has gone, it waits for ever (its issues 5511 and 5456): only a new process goes on.
        self._settle_s_max = None if settle else transaction_s_max(cluster)
        self._settle: Settle | None = None
        app.agent(self._channel, name=f"driftline.{name}")(self._take_turns)

    def trouble(self) -> str | None:
        """Why the shell is not making progress, or None."""
        held = None if self._may_be_held else self.held()
        return held or self._feed.unbegun() or self._absent() or self.gauges.trouble

    def failing(self) -> str | None:
        """Why turns fail though nothing that they need is away, or None: a restart may help."""
        away = self._away or self.held() or self._feed.unbegun() or self._absent()
        return None if away else self.gauges.trouble

    def held(self) -> str | None:
        """What the shell waits for before it reads anything, or None."""
        return self._feed.held()

    def waits(self) -> str:
        """What is waited for while the rest goes on; empty where there is nothing."""
        return "; ".join(filter(None, [self.held(), self._feed.unbegun(), self._feed.waits(), self._behind()]))

    def status(self) -> dict[str, Any]:
        """What the status page shows of this shell."""
        return {
            **self.gauges.status(now_ms(), self._feed.epoch, self._feed.lag_rows),
            "partitions": self._feed.partitions(),
            "trouble": self._absent() or self.gauges.trouble,
            "waits": self.waits(),
            "notes": self._feed.notes() + self._aside(),
        }

    def set_aside(self) -> list[str]:
        """What was set aside of late while everything else went on, for people."""
        return [note for at_ms, note in self._aside() if at_ms > now_ms() - _ASIDE_TOLD_MS]

    def _aside(self) -> list[tuple[int, str]]:
        return self._set_aside.notes() if self._set_aside else []

    def _open(self) -> Settle:
        outbox = Outbox(self._cluster, f"{self.name}-{self._slot}")
        names = {self._cluster.topic(topic): topic for topic in self._reads}
        there = [names[name] for name in foreign_partitions(self._cluster, names)]
        outbox.sweep(self._writes, there[0] if there else None, self.name)
        return self._settles(self._feed, outbox)

    async def stop(self) -> None:
        """Let what is being settled end, and leave the group."""
        if self._settling and not (await asyncio.wait({self._settling}, timeout=_STUCK_S))[0]:
            self._crash(TimeoutError(f"a settlement has not returned for {_STUCK_S:.0f} s of the shutdown"))
        await asyncio.get_running_loop().run_in_executor(None, self._feed.stop)
        for pool in self._threads.values():
            pool.shutdown(wait=False, cancel_futures=True)

    # The agent.

    async def _take_turns(self, turns: Any) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            opening = self._in_thread("settle", self._open)
            self._settle = await asyncio.wait_for(opening, _OPEN_S)
            self._feed.start()
            async for turn in turns:
                await self._turn(turn)
        except Exception as error:  # Faust would start this agent again, over a feed that has begun
            self._crash(error)

    async def _turn(self, turn: Turn) -> None:
        if turn.epoch != self._feed.epoch:
            self._feed.done()
            return
        try:
            folded = await self._in_thread("fold", self._fold, turn)
        except Exception as error:
            await self._again(error, "fold")
            return
        self._feed.folded()
        if self._settling:
            await self._settling
        self._settling = asyncio.create_task(self._settle_turn(turn, folded))
        self._settling.add_done_callback(lambda done: self._lost(None if done.cancelled() else done.exception()))

    def _fold(self, turn: Turn) -> list[Settled]:
        started = ticks_ms()
        settled: list[Settled] = list(zip(turn.blocks, self._step.fold(turn.blocks), strict=True))
        for silent in turn.idle:
            effects = self._step.idle(silent.topic, silent.partition, silent.after_ms)
            settled += [(silent, effects)] if effects.publish else []
        self.gauges.folded(ticks_ms() - started)
        return settled

    async def _settle_turn(self, turn: Turn, settled: list[Settled]) -> None:
        if turn.epoch != self._feed.epoch:
            self._feed.done()
            return
        assert self._settle is not None
        self._feed.settling()
        started = ticks_ms()
        try:
            settling = asyncio.ensure_future(self._in_thread("settle", self._settle, settled, turn.membership))
            if not (await asyncio.wait({settling}, timeout=self._settle_s_max))[0]:
                self._crash(TimeoutError(f"a settlement has not returned for {self._settle_s_max:.0f} s"))
            await settling
        except (Fenced, Stuck) as error:
            self._crash(error)
        except Exception as error:
            await self._again(error, "settle")
        else:
            self._failures = 0
            self.gauges.settled(turn.times(), ticks_ms() - started, now_ms())
            self._feed.done()

    async def _again(self, error: Exception, where: str) -> None:
        """Nothing of the turn is visible; read it again, after a pause that grows."""
        pause_s = _PAUSE_S[min(self._failures, len(_PAUSE_S) - 1)]
        self._failures += 1
        self._away = isinstance(error, Away)
        self.gauges.failed(f"{where}: {type(error).__name__}: {error}")
        told = log.info if isinstance(error, Aborted) else log.warning
        told(f"{self.name}.again", where=where, why=str(error), kind=type(error).__name__, failures=self._failures)
        self._feed.rewind()
        await asyncio.sleep(pause_s)
        self._feed.done()

    async def _in_thread(self, kind: str, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads[kind], call, *args)

    # From the feed's thread.

    def _hand_over(self, turn: Turn) -> None:
        self.gauges.took(turn.epoch, turn.times())
        # `put` of the bare turn: Faust drops an event whose generation is not that of its own consumer.
        sent = asyncio.run_coroutine_threadsafe(self._channel.put(turn), self._loop)
        sent.add_done_callback(lambda done: self._lost(None if done.cancelled() else done.exception()))

    def _lost(self, error: BaseException | None) -> None:
        if error is not None:
            self._crash(error)

    def _crash(self, error: BaseException) -> None:
        """End the process, at once: whoever started it starts it again, from what is committed.

        An orderly end would take seconds, or for ever where a thread does not return from librdkafka; and an end
        between any two lines is what everything here is made for.
        """
        with suppress(OSError):  # the disk may be full
            log.error(f"{self.name}.crash", kind=type(error).__name__, why=str(error))
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(1)


def _in_one_transaction(feed: Feed, outbox: Outbox) -> Settle:  # noqa: ARG001
    return lambda settled, group: outbox.settle(settled, (), group)


def transaction_s_max(cluster: Cluster) -> float:
    """How long a transaction may take before its process is given up."""
    return 10 + 2 * cluster.transaction_timeout_ms / 1000
