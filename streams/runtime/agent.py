"""The agent: driven by Faust, it passes micro-batches from the consumer's thread to the pipeline.

Faust supervises, serves HTTP and runs the agents; records are never Faust events here (59 us each). The agent's channel
carries micro-batches. What becomes of them is in `streams.runtime.pipeline`.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import faust
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from streams.clock import now_ms
from streams.kafka.admin import foreign_partitions
from streams.kafka.cluster import Cluster
from streams.runtime.consumer import BatchConsumer
from streams.runtime.facts import Crashed
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.pipeline import Commit, Pipeline
from streams.runtime.set_aside import SetAside
from streams.runtime.splitting import Weigh
from streams.runtime.stage import Step
from streams.runtime.start_offsets import StartOffsets
from streams.runtime.telemetry import Gauges
from streams.runtime.transactions import TransactionalProducer

_STUCK_S = 5.0
_OPEN_S = 120.0
#: `/readyz` names what was set aside for so long; the dead letters stay.
_ASIDE_TOLD_MS = 3_600_000


class BatchChannel(faust.Channel):  # type: ignore[misc]
    """A channel of micro-batches that Faust's own consumer has no say over. The stock one holds everything back while
    that consumer rebalances, which may take minutes, and clears its queue then: those would never be committed."""

    _queue: Any

    @property
    def queue(self) -> Any:
        """The queue behind one subscriber."""
        if self._queue is None:
            flows = FlowControlEvent(initially_suspended=False)  # and nobody suspends it
            self._queue = ThrowableQueue(maxsize=0, flow_control=flows)  # one that is full may change their order
        return self._queue


class Agent:
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
        Why nothing may be read yet, or None: see `BatchConsumer`.
    may_be_held
        Nobody minds: the process is ready all the same.
    alike
        Topics of ours that must have as many partitions as what it reads.
    absent
        What some of the records wait for, in a sentence, while others are answered: the process is not ready.
    behind
        What is not as it should be while every record is answered, in a sentence.
    commit
        Makes another commit than one transaction a micro-batch (`streams.runtime.intents`), from the consumer and the
        slot's producer.
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
        limits: ConsumerLimits | None = None,
        start_offsets: StartOffsets | None = None,
        weigh: Weigh | None = None,
        hold: Callable[[], str | None] | None = None,
        may_be_held: bool = False,
        alike: Sequence[str] = (),
        absent: Callable[[], str] = str,
        behind: Callable[[], str] = str,
        commit: Callable[[BatchConsumer, TransactionalProducer], Commit] | None = None,
        set_aside: SetAside | None = None,
        client: str = "",
    ) -> None:
        self.name = name
        self.gauges = Gauges(name)
        self._app = app
        self._cluster = cluster
        self._reads, self._writes = topics, writes
        self._slot = slot
        self._channel = BatchChannel(app)
        self._consumer = BatchConsumer(
            cluster,
            name,
            topics,
            step,
            hand_over=self._hand_over,
            crash=self._crash,
            limits=limits,
            start_offsets=start_offsets,
            weigh=weigh,
            hold=hold,
            consumer_options={"client.id": client} if client else None,
            alike=alike,
        )
        self._may_be_held = may_be_held
        self._absent, self._behind = absent, behind
        self._set_aside = set_aside
        self._make_commit = commit or _in_one_transaction
        # librdkafka bounds each request by the transaction's time-out, but where the broker that it held for the
        # group's coordinator has gone, it waits for ever (its issues 5511 and 5456): only a new process goes on.
        commit_s_max = None if commit else transaction_s_max(cluster)
        self._pipeline = Pipeline(name, step, self.gauges, commit_s_max=commit_s_max)
        app.agent(self._channel, name=f"driftline.{name}")(self._run)

    def trouble(self) -> str | None:
        """Why the step is not making progress, or None."""
        held = None if self._may_be_held else self.held()
        return held or self._consumer.awaited() or self._absent() or self.gauges.trouble

    def failing(self) -> str | None:
        """Why micro-batches fail though nothing that they need is away, or None: a restart may help."""
        away = self._pipeline.away or self.held() or self._consumer.awaited() or self._absent()
        return None if away else self.gauges.trouble

    def held(self) -> str | None:
        """What is waited for before it reads anything, or None."""
        return self._consumer.held()

    def waits(self) -> str:
        """What is waited for while the rest goes on; empty where there is nothing."""
        return "; ".join(filter(None, [self.held(), self._consumer.awaited(), self._consumer.waits(), self._behind()]))

    def status(self) -> dict[str, Any]:
        """What the status page shows of this step."""
        return {
            **self.gauges.status(now_ms(), self._consumer.epoch, self._consumer.lag_rows),
            "partitions": self._consumer.partitions(),
            "trouble": self._absent() or self.gauges.trouble,
            "waits": self.waits(),
            "notes": self._consumer.notes() + self._aside(),
        }

    def set_aside(self) -> list[str]:
        """What was set aside of late while everything else went on, for people."""
        return [note for at_ms, note in self._aside() if at_ms > now_ms() - _ASIDE_TOLD_MS]

    def _aside(self) -> list[tuple[int, str]]:
        return self._set_aside.notes() if self._set_aside else []

    def _open(self) -> Commit:
        producer = TransactionalProducer(self._cluster, f"{self.name}-{self._slot}")
        names = {self._cluster.topic(topic): topic for topic in self._reads}
        there = [names[name] for name in foreign_partitions(self._cluster, names)]
        producer.abort_dangling(self._writes, there[0] if there else None, self.name)
        return self._make_commit(self._consumer, producer)

    async def stop(self) -> None:
        """Let what is being committed end, and leave the group."""
        if not await self._pipeline.stop(_STUCK_S):
            self._crash(TimeoutError(f"a commit has not returned for {_STUCK_S:.0f} s of the shutdown"))
        await asyncio.to_thread(self._consumer.stop)
        self._pipeline.close()

    async def _run(self, batches: Any) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            commit = await asyncio.wait_for(asyncio.to_thread(self._open), _OPEN_S)
            self._consumer.start()
            await self._pipeline.run(batches, commit)
        except Exception as error:  # Faust would start this agent again, over a consumer that has begun
            self._crash(error)

    # From the consumer's thread.

    def _hand_over(self, batch: MicroBatch) -> None:
        self.gauges.took(batch.epoch, batch.times())
        # `put` of the bare batch: Faust drops an event whose generation is not that of its own consumer.
        sent = asyncio.run_coroutine_threadsafe(self._channel.put(batch), self._loop)
        sent.add_done_callback(lambda done: None if done.cancelled() else self._lost(done.exception()))

    def _lost(self, error: BaseException | None) -> None:
        if error is not None:
            self._crash(error)

    def _crash(self, error: BaseException) -> None:
        """End the process, at once: whoever started it starts it again, from what is committed.

        An orderly end would take seconds, or for ever where a thread does not return from librdkafka; and an end
        between any two lines is what everything here is made for.
        """
        with suppress(OSError):  # the disk may be full
            Crashed(self.name, type(error).__name__, str(error)).tell()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(1)


def _in_one_transaction(consumer: BatchConsumer, producer: TransactionalProducer) -> Commit:  # noqa: ARG001
    return lambda processed, group: producer.commit(processed, (), group)


def transaction_s_max(cluster: Cluster) -> float:
    """How long a transaction may take before its process is given up."""
    return 10 + 2 * cluster.transaction_timeout_ms / 1000
