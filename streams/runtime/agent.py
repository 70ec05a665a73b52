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

from streams.kafka.admin import foreign_partitions
from streams.kafka.cluster import Cluster
from streams.runtime.batch_tuner import BatchTuner
from streams.runtime.consumer import BatchConsumer
from streams.runtime.facts import Crashed
from streams.runtime.health import Health
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.pipeline import Commit, Pipeline
from streams.runtime.splitting import Weigh
from streams.runtime.stage import Step
from streams.runtime.start_offsets import StartOffsets
from streams.runtime.telemetry import Gauges
from streams.runtime.transactions import TransactionalProducer

_STUCK_S = 5.0
_OPEN_S = 120.0


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
    limits, start_offsets, weigh, hold, alike
        See `BatchConsumer`.
    commit
        Makes another commit than one transaction a micro-batch (`streams.runtime.intents`), from the consumer and the
        slot's producer.
    tuner
        Chooses rows and wait of each micro-batch; without it the limits do.
    client
        What the group's coordinator knows this process by; see `Role`.
    health
        ``absent``, ``behind``, ``may_be_held``, ``set_aside`` and ``figures``: see `Health`.

    Attributes
    ----------
    health
        What is told of it.
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
        alike: Sequence[str] = (),
        commit: Callable[[BatchConsumer, TransactionalProducer], Commit] | None = None,
        tuner: BatchTuner | None = None,
        client: str = "",
        **health: Any,
    ) -> None:
        self.name = name
        self._gauges = Gauges(name, tuner)
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
            choose=tuner.choice if tuner else None,
            consumer_options={"client.id": client} if client else None,
            alike=alike,
        )
        if tuner:
            tuner.watch(lambda: self._consumer.lag_rows)
        self._make_commit = commit or _in_one_transaction
        # librdkafka bounds each request by the transaction's time-out, but where the broker that it held for the
        # group's coordinator has gone, it waits for ever (its issues 5511 and 5456): only a new process goes on.
        commit_s_max = None if commit else transaction_s_max(cluster)
        self._pipeline = Pipeline(name, step, self._gauges, commit_s_max=commit_s_max)
        self.health = Health(self._gauges, self._consumer, self._pipeline, **health)
        app.agent(self._channel, name=f"driftline.{name}")(self._run)

    def _open(self) -> Commit:
        producer = TransactionalProducer(self._cluster, f"{self.name}-{self._slot}")
        names = {self._cluster.topic(topic): topic for topic in self._reads}
        there = [names[name] for name in foreign_partitions(self._cluster, names)]
        producer.end_dangling(self._writes, there, self.name)
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
        self._gauges.took(batch.epoch, batch.times())
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
        end_process(self.name, error)


def end_process(step: str, error: BaseException) -> None:
    """Say why, and end this process without any further step."""
    with suppress(Exception):  # the disk may be full, and a model may have closed the streams
        Crashed(step, type(error).__name__, str(error)).tell()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(1)


def _in_one_transaction(consumer: BatchConsumer, producer: TransactionalProducer) -> Commit:  # noqa: ARG001
    return lambda processed, group: producer.commit(processed, (), group)


def transaction_s_max(cluster: Cluster) -> float:
    """How long a transaction may take before its process is given up."""
    return 10 + 2 * cluster.transaction_timeout_ms / 1000
