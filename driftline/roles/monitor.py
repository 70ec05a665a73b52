"""The monitor: observations become counts, labels meet predictions, counts become reports, alerts and orders."""

from collections.abc import Iterator
from functools import partial

from drift.counting.stage import Count, idle
from drift.judge.stage import Judge
from drift.labels.stage import Join
from drift.labels.step import Joining
from drift.reference.catalogue import Catalogue
from drift.store import Store
from drift.store.predictions import look_up
from driftline.roles import access, parts, watch_topics
from driftline.roles.event_clocks import event_clocks
from driftline.roles.needs import store_need
from driftline.roles.notify import Notify, sender
from driftline.settings import Settings
from streams.clock import now_ms
from streams.kafka.admin import await_topics, partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.group_offsets import Progress
from streams.runtime.app import Role
from streams.runtime.limits import ConsumerLimits
from streams.runtime.set_aside import SetAside
from streams.runtime.snapshots import Restored
from streams.runtime.stage import PerPartition
from streams.runtime.start_offsets import StartOffsets
from streams.secrets import open_reference
from streams.wire.block import Block
from streams.wire.effects import Effects
from streams.wire.records import Watch
from streams.wire.route_book import RouteBook

#: What it reads and writes.
_TOPICS = (
    *("observations", "feedback", "feedback-waiting", "counts", "models"),
    *("outcomes", "reports", "alerts", "retraining", "snapshots", "dead-letters"),
)


def run(settings: Settings, slot: str, port: int) -> None:
    """Run one monitor.

    Parameters
    ----------
    slot, port
        As of `driftline.roles.worker.run`.
    """
    cluster = parts.cluster(settings)
    catalogue = parts.catalogue(settings, warn=True)
    monitor = settings.monitor
    role = Role(cluster, "monitor", slot, port, settings.roles.host, folder=settings.data_dir / "faust")
    role.needs.append(store_need(settings))
    role.begin()
    await_topics(cluster, _TOPICS, access.monitor(settings), awaits=role.awaits)
    watch_topics.add_agent(role, settings, catalogue, partition_counts(cluster)["observations"])
    book = watch_topics.seed(settings, cluster)
    role.follow_models(book, lambda route: None)
    aside = {step: SetAside(step) for step in ("count", "join", "judge", "notify")}
    start_offsets = StartOffsets(accept_gap=settings.kafka.accept_gap)
    role.add_agent(
        "count",
        cluster,
        ["observations"],
        _counting(settings, cluster, catalogue, book, aside["count"]),
        writes=["counts", "snapshots", "dead-letters"],
        set_aside=aside["count"],
        limits=watch_topics.limits(monitor, rows_max=500),
        start_offsets=start_offsets,
    )
    joining = _joining(settings, cluster, catalogue, aside["join"])
    role.add_agent(
        "join",
        cluster,
        ["feedback", "feedback-waiting"],
        joining,
        writes=["outcomes", "counts", "feedback-waiting", "dead-letters"],
        set_aside=aside["join"],
        # At intervals: a look-up of many costs little more than one, and labels that wait come round again and again.
        limits=ConsumerLimits(rows_max=monitor.join_rows_max, batch_every_ms=monitor.join_every_ms),
        start_offsets=start_offsets,
        hold=joining.held,
        may_be_held=True,
    )
    role.add_agent(
        "judge",
        cluster,
        ["counts"],
        Restored(
            cluster,
            lambda topic, partition: Judge(catalogue, set_aside=aside["judge"]),
            monitor.snapshot_interval_ms_max,
            settings.kafka.accept_gap,
        ),
        writes=["reports", "alerts", "retraining", "snapshots", "dead-letters"],
        set_aside=aside["judge"],
        limits=ConsumerLimits(idle_after_ms=monitor.snapshot_interval_ms_max),
        start_offsets=start_offsets,
    )
    if monitor.notify or monitor.chat:
        _add_notify(role, settings, cluster, aside["notify"])
    role.run()


def _add_notify(role: Role, settings: Settings, cluster: Cluster, set_aside: SetAside) -> None:
    """Add the agent that sends alerts to people."""
    monitor, page = settings.monitor, settings.page
    given = (("monitor.notify", monitor.notify), ("monitor.chat", monitor.chat))
    pager, chat = (sender(map(open_reference, to), setting) if to else None for setting, to in given)
    role.add_agent(
        "notify",
        cluster,
        ["alerts"],
        Notify(pager, f"http://{page.host}:{page.port}{page.root_path}", chat, set_aside),
        writes=["dead-letters"],
        # Neither a receiver who was just named nor one who was away for long wants the pages of last year.
        start_offsets=StartOffsets(from_end=True, accept_gap=True),
        set_aside=set_aside,
    )


def _counting(
    settings: Settings,
    cluster: Cluster,
    catalogue: Catalogue,
    book: RouteBook,
    set_aside: SetAside | None = None,
) -> PerPartition:
    """Count observations, and say of every model that is served here when a partition has fallen silent."""
    elsewhere = {watched.model for watched in settings.watch_topics}  # no requests of theirs come here
    default = parts.watch(settings)
    partitions = partition_counts(cluster)["observations"]
    scored = Progress(cluster, "score", "requests")

    def stage(topic: str, partition: int, memory: str) -> Count:  # noqa: ARG001
        nonlocal partitions
        if partition >= partitions:  # some were added
            partitions = max(partition + 1, partition_counts(cluster)["observations"])
        return Count(catalogue, watch, partitions, event_clocks(cluster, partition, memory), set_aside)

    def watch(model: str) -> Watch:
        return book[model].watch if model in book.routes else default

    def silent(topic: str, partition: int, asleep: bool = False) -> Effects:  # noqa: ARG001
        # Unscored requests hold the watermark until the partition counts as asleep.
        if not asleep and any(map(len, scored.unread(partition))):
            return Effects()
        served = sorted(book.routes.keys() - elsewhere)
        return idle(served, "requests", partition, partitions, asleep, now_ms())

    return PerPartition(stage, silent, partial(silent, asleep=True))


def _joining(settings: Settings, cluster: Cluster, catalogue: Catalogue, set_aside: SetAside) -> Joining:
    """Join labels; the store is asked when they come, and drift goes on without it."""
    find = partial(look_up, Store(parts.store_settings(settings)))
    wait_ms_max = settings.monitor.prediction_wait_ms_max
    return Joining(
        lambda recent: Join(find, catalogue, now_ms, wait_ms_max, recent, set_aside),
        Unstored(cluster),
    )


class Unstored:
    """How much of `outcomes` the sink has stored; see `drift.labels.step.Outcomes`."""

    def __init__(self, cluster: Cluster) -> None:
        self._sink = Progress(cluster, "sink", "outcomes")
        self._all = Progress(cluster, "sink", "outcomes", committed=False)

    def ends(self) -> dict[int, int]:
        """Where it ends, open transactions included."""
        return self._all.ends()

    def stored(self) -> dict[int, int]:
        """What the sink reads next."""
        return self._sink.committed()

    def unread(self) -> Iterator[Block]:
        """What the sink has not stored."""
        return self._sink.unread()
