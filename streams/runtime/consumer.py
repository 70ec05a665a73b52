"""The batch consumer: one librdkafka consumer in one thread, which reads micro-batches and hands them over.

A micro-batch is all that waits, a block a partition. The next is read when one is committed, so blocks grow with the
backlog: small and quick at low load, large and cheap at high load. Where processing takes long, one is processed while
the one before it commits; it is read just in time, for it would only grow old in the queue.

What the thread does next, the first that applies::

    renew    a topic was made again: a new client, everything is read from what is committed
    begin    partitions have come, or something failed: once nothing is in flight, stages begin (`assignment`)
    read     there is room: what waits is read (`fetching`) and handed over (`handover`)
    wait     there is none: everything is paused, and polled, so that a slow model costs no membership

The client is touched by this thread alone. confluent-kafka lets one call at a time into it, and a second caller starves
behind a polling loop; so each micro-batch carries its group metadata, and commits are handed in
(`streams.runtime.handover`).
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import confluent_kafka as ck
import structlog

from streams.clock import ticks_ms
from streams.kafka.access import Need, command, denied, lacks
from streams.kafka.cluster import Cluster
from streams.kafka.topic_ids import TopicChanges
from streams.runtime.assignment import Assignment
from streams.runtime.batch_control import BatchChoice
from streams.runtime.fetching import Fetcher, Gathering
from streams.runtime.handover import HandOver, Stuck
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.splitting import Weigh, split
from streams.runtime.stage import Step
from streams.runtime.start_offsets import Gap, StartOffsets

log = structlog.get_logger("streams.runtime.consumer")

_READ_S = 0.05
_ROOM_S = 1.0
_POLL_S = 0.2
_ASK_S = 2.0
#: So often, while a micro-batch waits for further records, they are taken and callbacks are answered.
_GATHER_MS = 2.0
#: Lost positions in a row, one a partition, before it gives up.
_LOST_POSITIONS_MAX = 100


class BatchConsumer:
    """Reads topics as a member of a group.

    Parameters
    ----------
    cluster, group, topics
        What to read, as whom. Topics by their logical names.
    step
        Told which partitions come and go.
    hand_over
        Called in the consumer's thread with each micro-batch, which whoever takes it enters and leaves; must not block.
    crash
        Called with what ended the thread, if it was not `stop`.
    limits
        See `ConsumerLimits`.
    start_offsets
        Where a partition begins: see `streams.runtime.start_offsets`.
    weigh
        Tells how many answers records ask for; each asks for one by default.
    hold
        Why nothing may be read yet, or None; asked in the consumer's thread. What is held keeps its partitions.
    choose
        How the next micro-batch is read; None, or without it, as the limits say. Called in the consumer's thread.
    alike
        Topics of ours that must have as many partitions as the one that is read; see `Assignment`.
    consumer_options
        For librdkafka.
    clock
        Monotonic time, ms.
    """

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        topics: Iterable[str],
        step: Step,
        *,
        hand_over: Callable[[MicroBatch], None],
        crash: Callable[[BaseException], None],
        limits: ConsumerLimits | None = None,
        start_offsets: StartOffsets | None = None,
        weigh: Weigh | None = None,
        hold: Callable[[], str | None] | None = None,
        choose: Callable[[], BatchChoice | None] | None = None,
        alike: Sequence[str] = (),
        consumer_options: dict[str, Any] | None = None,
        clock: Callable[[], float] = ticks_ms,
    ) -> None:
        self.cluster = cluster
        self.group = group
        self.limits = limits or ConsumerLimits()
        self._topics = [cluster.topic(name) for name in topics]
        self._hand_over, self._crash, self._weigh = hand_over, crash, weigh
        self.held, self._choose = hold or (lambda: None), choose or (lambda: None)
        self._clock = clock
        self._new_client = partial(cluster.consumer, group, **(consumer_options or {}))
        self._client = self._new_client()
        self._renewing = False
        self._in_flight = HandOver(self._commit, clock)
        self._start_offsets = start_offsets or StartOffsets()
        self._changes = TopicChanges(cluster, self._topics, clock)
        assignment = Assignment(cluster, group, step, self._start_offsets, self._in_flight, self.limits, alike, clock)
        self._assignment = assignment
        self._positions, self._silences = assignment.positions, assignment.silences
        self._fetcher = Fetcher(cluster, group, self._topics, self.limits, self._positions, self._refuse)
        self._handed_ms = clock()
        self._lost_positions = 0
        self._thread = threading.Thread(target=self._run, name=f"consumer-{group}", daemon=True)

    @property
    def epoch(self) -> int:
        """Micro-batches of an older epoch are dropped."""
        return self._in_flight.epoch

    def partitions(self) -> list[tuple[str, int]]:
        """Partitions held now, by logical topic."""
        return self._silences.places()

    def waits(self) -> str:
        """What is waited for while the rest goes on, for people; empty where there is nothing."""
        reasons = [f"topic {name} is not there yet; `driftline topics create {name}`" for name in self._changes.missing]
        for name in self._changes.closed:
            need = Need("topic", self.cluster.logical(name), ("read",))
            reasons.append(f"{lacks(self.cluster, need)}; `{command(self.cluster, need)}`")
        alike: dict[str, list[str]] = {}
        for (topic, partition), why in sorted(self._assignment.held_back.reasons().items()):
            if self.cluster.topic(topic) not in self._changes.missing:
                alike.setdefault(why, []).append(f"{self.cluster.topic(topic)}/{partition}")
        return "; ".join([*reasons, *(f"{', '.join(places)}: {why}" for why, places in alike.items())])

    def awaited(self) -> str:
        """What partitions wait for before they begin; empty where there is nothing."""
        return self._assignment.awaited

    @property
    def lag_rows(self) -> int | None:
        """Offsets between the position and the end; None where nobody has looked yet."""
        return self._positions.lag_rows

    def rewind(self) -> None:
        """Drop everything in flight, and read again from what is committed."""
        self._in_flight.rewind()

    def notes(self) -> list[tuple[int, str]]:
        """What happened that people should know, with its time in ms."""
        return list(self._start_offsets.notes)

    def commit(self, offsets: list[ck.TopicPartition]) -> None:
        """Commit outside a transaction, as `HandOver.commit` does.

        Raises
        ------
        Stuck
            librdkafka waits for a group coordinator that it has lost, and does not look for the one that there is.
        """
        try:
            self._in_flight.commit(offsets)
        except TimeoutError as error:
            with suppress(ck.KafkaException):  # the broker is away: it is tried again
                self.cluster.admin(log_level=2).list_topics(timeout=_ASK_S)
                raise Stuck(f"{self.group}: a commit does not return, and the broker answers") from error
            raise

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the group; waits for the thread."""
        self._in_flight.stop()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    # The thread.

    def _run(self) -> None:
        in_flight, assignment = self._in_flight, self._assignment
        try:
            self._changes.any_remade(wait=True)
            self._subscribe()
            while not in_flight.stopping:
                if self._renewing:
                    self._renew()
                elif assignment.due:
                    assignment.begin(self._client, self._poll_paused)
                    self._client.resume(self._client.assignment())
                elif self._wait_for_room(_ROOM_S):
                    self._read()
                    self._positions.measure_lag(self._client)
                    self._look_at_topics()
                else:
                    self._keep_membership()
        except BaseException as error:
            if not in_flight.stopping:
                self._crash(error)
        finally:
            in_flight.close()
            try:
                self._client.close()
            except (RuntimeError, ck.KafkaException) as error:
                log.warning("consumer.close", group=self.group, why=str(error))

    def _subscribe(self) -> None:
        callbacks = {"on_assign": self._assignment.assigned, "on_revoke": self._assignment.revoked}
        self._client.subscribe(self._topics, **callbacks, on_lost=self._assignment.lost)

    def _look_at_topics(self, wait: bool = False) -> None:
        """Begin what was held back, unless a topic was made again: that needs a new client first."""
        self._renewing = self._changes.any_remade(wait) or self._renewing
        if not self._renewing:
            self._assignment.take_up(self._client)

    def _renew(self) -> None:
        """Go on with a new client. The old one takes a topic that was made again for the one that it knew: where that
        had a higher leader epoch (its broker was restarted), the old client silently fetches nothing any more.
        """
        self._renewing = False
        self.rewind()
        self._client.close()
        self._assignment.let_go()
        self._client = self._new_client()
        self._subscribe()

    def _wait_for_room(self, wait_s: float) -> bool:
        if self.held():
            time.sleep(min(wait_s, _POLL_S))
            return False
        not_before_ms = self._handed_ms + (self.limits.batch_every_ms or 0)
        return self._in_flight.wait_for_room(self.limits.batches_in_flight_max, not_before_ms, wait_s)

    def _keep_membership(self) -> None:
        """Poll while there is no room: a slow model must not cost the membership."""
        self._client.pause(self._client.assignment())
        in_flight, assignment = self._in_flight, self._assignment
        while not (self._wait_for_room(_POLL_S) or assignment.due or self._renewing or in_flight.stopping):
            self._poll_paused()
            self._positions.measure_lag(self._client, ask=True)
            self._look_at_topics()
        self._client.resume(self._client.assignment())

    def _poll_paused(self) -> None:
        early = self._client.poll(0)
        self._client.pause(self._client.assignment())
        if early is not None and early.error():
            self._refuse(early.error(), early)
        elif early is not None:  # of a partition that this very poll assigned, and that was not paused yet
            self._client.seek(ck.TopicPartition(early.topic(), early.partition(), early.offset()))

    def _read(self) -> None:
        first = self._client.consume(1, _READ_S)
        epoch, changes = self.epoch, self._assignment.changes
        blocks = self._fetcher.blocks(self._client, first, self._gathering(changes) if first else None)
        if changes != self._assignment.changes or self._in_flight.rewinding:
            if blocks:  # read before a rebalance, it may be another's by now; or it lies behind what was dropped
                self.rewind()
            return
        self._positions.handed_over(blocks)
        idle = self._silences.of(self._client, blocks)
        if blocks:
            self._lost_positions = 0
        quiet_ms = self.limits.quiet_batch_ms
        if blocks or idle or (quiet_ms is not None and self._clock() - self._handed_ms > quiet_ms):
            self._handed_ms = self._clock()
            membership = self._client.consumer_group_metadata()
            *before, last = split(blocks, self._weigh, self.limits.rows_max) if self._weigh else [blocks]
            for part in before:
                self._hand_over(self._in_flight.hand_over(part, [], epoch, membership))
            self._hand_over(self._in_flight.hand_over(last, idle, epoch, membership))

    def _gathering(self, changes: int) -> Gathering | None:
        """How a micro-batch is gathered that has begun now; None as the limits say.

        A wait ends at once where it is stopped or rewound, and at the next poll where partitions come or go.
        """
        choice = self._choose()
        if choice is None:
            return None
        until_ms = self._clock() + choice.wait_ms

        def more() -> bool:
            left_ms = until_ms - self._clock()
            if left_ms <= 0 or changes != self._assignment.changes or self._assignment.due:
                return False
            return self._in_flight.linger(min(left_ms, _GATHER_MS) / 1000)

        return Gathering(min(choice.rows_max, self.limits.rows_max), choice.rows_wanted, more)

    def _refuse(self, error: ck.KafkaError, message: ck.Message) -> None:
        if error.code() in (ck.KafkaError._PARTITION_EOF, ck.KafkaError._MAX_POLL_EXCEEDED):
            return
        if error.code() == ck.KafkaError._AUTO_OFFSET_RESET:
            self._out_of_range(error, message)
            return
        if denied(error) == "group":  # whoever starts us again asks for what is missing, and says it
            raise ck.KafkaException(error)
        # `_FATAL` errors report fatal() == False; check the code.
        if error.code() != ck.KafkaError._FATAL and (error.retriable() or not error.fatal()):
            log.warning("consumer.error", group=self.group, why=error.str())
            return
        raise ck.KafkaException(error)

    def _out_of_range(self, error: ck.KafkaError, message: ck.Message) -> None:
        """Begin again at what is committed, which finds out whether retention was faster or the topic was made again.

        Raises
        ------
        Gap
            That did not help.
        """
        self._look_at_topics(wait=True)
        self._lost_positions += 1
        if self._lost_positions > _LOST_POSITIONS_MAX:
            raise Gap(
                f"{message.topic()}/{message.partition()}: the position is no longer in the log "
                f"({error.str()}), and what is committed is not either; set the group's offsets with "
                "kafka-consumer-groups --reset-offsets"
            )
        self.rewind()

    def _commit(self, offsets: list[ck.TopicPartition]) -> None:
        for p in self._client.commit(offsets=offsets, asynchronous=False):
            if p.error:
                raise ck.KafkaException(p.error)
