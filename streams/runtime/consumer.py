"""The batch consumer: one librdkafka consumer in one thread, which reads micro-batches and hands them over.

A micro-batch is all that waits, a block a partition. The next is read when one is committed, so blocks grow with the
backlog: small and quick at low load, large and cheap at high load. Where processing takes long, one is processed while
the one before it commits; it is read just in time, for it would only grow old in the queue.

The consumer is touched by this thread alone. confluent-kafka lets one call at a time into a consumer, and a second
caller starves behind a polling loop; so each micro-batch carries its group metadata, and commits are handed in
(`streams.runtime.handover`). How partitions come and go is in `streams.runtime.assignment`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import Any

import confluent_kafka as ck
import msgspec
import structlog

from streams.clock import ticks_ms
from streams.kafka.access import Need, command, denied, lacks
from streams.kafka.cluster import Cluster
from streams.kafka.topic_ids import TopicChanges
from streams.kafka.unpacked import does_not_unpack, empty_records
from streams.runtime.assignment import Holdings
from streams.runtime.handover import HandOver, Stuck
from streams.runtime.microbatch import MicroBatch
from streams.runtime.splitting import Weigh, split
from streams.runtime.stage import Step
from streams.runtime.start_offsets import Gap, StartOffsets
from streams.wire.block import Block

log = structlog.get_logger("streams.runtime.consumer")

_READ_S = 0.05
_ROOM_S = 1.0
_POLL_S = 0.2
_LAG_EVERY_MS = 1_000
_ASK_S = 2.0
#: Lost positions in a row, one a partition, before it gives up.
_LOST_POSITIONS_MAX = 100


class ConsumerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What it may hold, and how long it waits.

    Parameters
    ----------
    rows_max, bytes_max
        Records of one micro-batch, and bytes of their values: once it holds so many no more is read into it. One whose
        records ask for more than ``rows_max`` answers is split.
    batches_in_flight_max
        One is processed while one is committed.
    revoke_wait_ms_max
        How long a partition that is taken away waits for the commit of its records; then they are dropped, and
        processed where it goes.
    idle_after_ms
        Lengths of silence, ascending, of which the step is told: when a partition with nothing more to read is idle.
    quiet_batch_ms
        After this long without a micro-batch an empty one is handed over, for those who commit by time; None never.
    batch_every_ms
        At most one micro-batch in so long, for topics that are read again and again: what one sends back to its own
        topic would else be in the next one at once. None reads as fast as it can.
    """

    rows_max: int = 5_000
    bytes_max: int = 8_388_608
    batches_in_flight_max: int = 2
    revoke_wait_ms_max: int = 5_000
    idle_after_ms: tuple[int, ...] = ()
    quiet_batch_ms: int | None = None
    batch_every_ms: int | None = None


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
    alike
        Topics of ours that must have as many partitions as the one that is read; see `Holdings`.
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
        alike: Sequence[str] = (),
        consumer_options: dict[str, Any] | None = None,
    ) -> None:
        self.cluster = cluster
        self.group = group
        self.limits = limits or ConsumerLimits()
        self.lag_rows: int | None = None
        self._topics = [cluster.topic(name) for name in topics]
        self._hand_over = hand_over
        self._crash = crash
        self._weigh = weigh
        self.held = hold or (lambda: None)
        self._client = partial(cluster.consumer, group, **(consumer_options or {}))
        self._consumer = self._client()
        self._renewing = False
        self._in_flight = HandOver(self._commit)
        wait_ms_max = self.limits.revoke_wait_ms_max
        self._start_offsets = start_offsets or StartOffsets()
        self._changes = TopicChanges(cluster, self._topics)
        self._holdings = Holdings(cluster, group, step, self._start_offsets, self._in_flight, wait_ms_max, alike)
        self._handed_ms = ticks_ms()
        self._lag_at_ms = 0.0
        self._lost_positions = 0
        self._thread = threading.Thread(target=self._run, name=f"consumer-{group}", daemon=True)
        self.rewind = self._in_flight.rewind

    @property
    def epoch(self) -> int:
        """Micro-batches of an older epoch are dropped."""
        return self._in_flight.epoch

    def partitions(self) -> list[tuple[str, int]]:
        """Partitions held now, by logical topic."""
        return self._holdings.places()

    def waits(self) -> str:
        """What is waited for while the rest goes on, for people; empty where there is nothing."""
        reasons = [f"topic {name} is not there yet; `driftline topics create {name}`" for name in self._changes.missing]
        for name in self._changes.closed:
            need = Need("topic", self.cluster.logical(name), ("read",))
            reasons.append(f"{lacks(self.cluster, need)}; `{command(self.cluster, need)}`")
        alike: dict[str, list[str]] = {}
        for (topic, partition), why in sorted(self._holdings.held_back().items()):
            if self.cluster.topic(topic) not in self._changes.missing:
                alike.setdefault(why, []).append(f"{self.cluster.topic(topic)}/{partition}")
        return "; ".join([*reasons, *(f"{', '.join(places)}: {why}" for why, places in alike.items())])

    def awaited(self) -> str:
        """What partitions wait for before they begin; empty where there is nothing."""
        return self._holdings.awaited

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
        in_flight, holdings = self._in_flight, self._holdings
        try:
            self._changes.any_remade(wait=True)
            self._subscribe()
            while not in_flight.stopping:
                if self._renewing:
                    self._renew()
                elif holdings.due:
                    holdings.begin(self._consumer, self._poll_paused)
                    self._consumer.resume(self._consumer.assignment())
                elif self._wait_for_room(_ROOM_S):
                    self._read()
                    self._measure_lag()
                    self._look_at_topics()
                else:
                    self._keep_membership()
        except BaseException as error:
            if not in_flight.stopping:
                self._crash(error)
        finally:
            in_flight.close()
            try:
                self._consumer.close()
            except (RuntimeError, ck.KafkaException) as error:
                log.warning("consumer.close", group=self.group, why=str(error))

    def _subscribe(self) -> None:
        holdings = self._holdings
        self._consumer.subscribe(
            self._topics, on_assign=holdings.assigned, on_revoke=holdings.revoked, on_lost=holdings.lost
        )

    def _look_at_topics(self, wait: bool = False) -> None:
        """Begin what was held back, unless a topic was made again: that needs a new client first."""
        self._renewing = self._changes.any_remade(wait) or self._renewing
        if not self._renewing:
            self._holdings.take_up(self._consumer)

    def _renew(self) -> None:
        """Go on with a new client. The old one takes a topic that was made again for the one that it knew: where that
        had a higher leader epoch (its broker was restarted), the old client silently fetches nothing any more.
        """
        self._renewing = False
        self.rewind()
        self._consumer.close()
        self._holdings.let_go()
        self._consumer = self._client()
        self._subscribe()

    def _wait_for_room(self, wait_s: float) -> bool:
        if self.held():
            time.sleep(min(wait_s, _POLL_S))
            return False
        not_before_ms = self._handed_ms + (self.limits.batch_every_ms or 0)
        return self._in_flight.wait_for_room(self.limits.batches_in_flight_max, not_before_ms, wait_s)

    def _keep_membership(self) -> None:
        """Poll while there is no room: a slow model must not cost the membership."""
        self._consumer.pause(self._consumer.assignment())
        in_flight, holdings = self._in_flight, self._holdings
        while not (self._wait_for_room(_POLL_S) or holdings.due or self._renewing or in_flight.stopping):
            self._poll_paused()
            self._measure_lag(paused=True)
            self._look_at_topics()
        self._consumer.resume(self._consumer.assignment())

    def _poll_paused(self) -> None:
        early = self._consumer.poll(0)
        self._consumer.pause(self._consumer.assignment())
        if early is not None and early.error():
            self._refuse(early.error(), early)
        elif early is not None:  # of a partition that this very poll assigned, and that was not paused yet
            self._consumer.seek(ck.TopicPartition(early.topic(), early.partition(), early.offset()))

    def _read(self) -> None:
        first = self._consumer.consume(1, _READ_S)
        epoch, changes = self.epoch, self._holdings.changes
        blocks = self._blocks(self._fill(first) if first else [])
        if changes != self._holdings.changes or self._in_flight.rewinding:
            if blocks:  # read before a rebalance, it may be another's by now; or it lies behind what was dropped
                self.rewind()
            return
        quiet = self.limits.quiet_batch_ms
        idle = self._holdings.fallen_silent(self._consumer, blocks, self.limits.idle_after_ms)
        if blocks:
            self._lost_positions = 0
        if blocks or idle or (quiet is not None and ticks_ms() - self._handed_ms > quiet):
            self._handed_ms = ticks_ms()
            membership = self._consumer.consumer_group_metadata()
            *before, last = split(blocks, self._weigh, self.limits.rows_max) if self._weigh else [blocks]
            for part in before:
                self._hand_over(self._in_flight.hand_over(part, [], epoch, membership))
            self._hand_over(self._in_flight.hand_over(last, idle, epoch, membership))

    def _fill(self, messages: list[ck.Message]) -> list[ck.Message]:
        """Read what waits behind the first messages, as far as one micro-batch may hold it."""
        rows_max, bytes_max = self.limits.rows_max, self.limits.bytes_max
        more_s = 0 if self.limits.batch_every_ms is None else _READ_S  # one that comes seldom is a whole one
        size, asked, more = sum(map(len, messages)), 0, messages
        while len(more) >= asked and len(messages) < rows_max and size < bytes_max:
            fit = max(1, (bytes_max - size) * len(messages) // max(1, size))  # if the next are like these
            asked = min(rows_max - len(messages), fit)
            more = self._consumer.consume(asked, more_s)
            messages, size = messages + more, size + sum(map(len, more))
        return messages

    def _blocks(self, messages: list[ck.Message]) -> list[Block]:
        passed: dict[tuple[str, int], Block] = {}
        if any(map(ck.Message.error, messages)):
            for message in filter(does_not_unpack, messages):
                if (message.topic(), message.partition()) not in passed:
                    passed[message.topic(), message.partition()] = self._pass_over(message)
            messages = [message for message in messages if not self._refused(message)]
        gathered: dict[tuple[str, int], list[ck.Message]] = {}
        # Messages come in runs of one partition, so this asks each of them in C.
        one = len(self._topics) == 1
        for topic, same in [(self._topics[0], messages)] if one else groupby(messages, ck.Message.topic):
            for partition, run in groupby(same, ck.Message.partition):
                gathered.setdefault((topic, partition), []).extend(run)
        blocks = {
            place: Block.of_messages(self.cluster.logical(place[0]), place[1], ms) for place, ms in gathered.items()
        }
        for place, block in passed.items():
            blocks[place] = Block.joined([blocks[place], block]) if place in blocks else block
        return list(blocks.values())

    def _pass_over(self, message: ck.Message) -> Block:
        """Read on behind a batch that does not unpack; each of its records is one without a value."""
        place = (self.cluster.logical(message.topic()), message.partition())
        start = self._holdings.next_offset(place)
        block = empty_records(self.cluster, message, start, self.limits.rows_max)
        log.error("consumer.does_not_unpack", group=self.group, first=block.place(0), records=len(block),
                  why=message.error().str())  # fmt: skip
        self._consumer.seek(ck.TopicPartition(message.topic(), message.partition(), block.last + 1))
        return block

    def _refused(self, message: ck.Message) -> bool:
        error = message.error()
        if error and not does_not_unpack(message):
            self._refuse(error, message)
        return bool(error)

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

    def _measure_lag(self, paused: bool = False) -> None:
        if ticks_ms() - self._lag_at_ms >= _LAG_EVERY_MS:
            self._lag_at_ms = ticks_ms()
            with suppress(ck.KafkaException):  # the broker is away: what was seen last stands
                self.lag_rows = self._holdings.lag_rows(self._consumer, ask=paused)

    def _commit(self, offsets: list[ck.TopicPartition]) -> None:
        for p in self._consumer.commit(offsets=offsets, asynchronous=False):
            if p.error:
                raise ck.KafkaException(p.error)
