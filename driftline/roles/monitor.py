"""The monitor: observations become counts, labels meet predictions, counts become reports, alerts and orders."""

from functools import partial

from drift.count import Count, idle
from drift.join import Join
from drift.join_lookup import look_up
from drift.joining import Joining
from drift.judge import Judge
from drift.store import Store
from driftline import compose, watching
from driftline.notify import Notify, sender
from driftline.settings import Settings
from streams import progress
from streams.app import Role
from streams.clock import now_ms
from streams.cluster import open_reference
from streams.feed import FeedLimits
from streams.offsets import Starts
from streams.provision import partition_counts
from streams.records import Watch
from streams.snapshots import Restored
from streams.stage import PerPartition


def run(settings: Settings, slot: str, port: int) -> None:
    """Run one monitor."""
    cluster = compose.cluster(settings)
    catalogue = compose.catalogue(settings)
    partitions = partition_counts(cluster)["observations"]
    role = Role(cluster, "monitor", slot, port, settings.roles.host, folder=settings.data_dir / "faust")
    watching.add_shell(role, settings, catalogue, partitions)
    book = watching.seed(settings, cluster)
    elsewhere = {one.model for one in settings.watch_topics}  # no requests of theirs come here
    default = compose.watch(settings)

    def watch(model: str) -> Watch:
        return book[model].watch if model in book.routes else default

    role.follow_models(book, lambda route: None)
    asleep_after_ms = settings.monitor.idle_after_ms + settings.monitor.asleep_after_ms
    starts = Starts(accept_gap=settings.kafka.accept_gap)
    role.shell(
        "count",
        cluster,
        ["observations"],
        PerPartition(
            lambda topic, partition, memory: Count(catalogue, watch, partitions, memory),
            lambda topic, partition, after_ms: idle(
                sorted(book.routes.keys() - elsewhere),
                "requests",
                partition,
                partitions,
                asleep=after_ms == asleep_after_ms,
            ),
        ),
        limits=FeedLimits(rows_max=500, idle_after_ms=(settings.monitor.idle_after_ms, asleep_after_ms)),
        starts=starts,
    )
    store = Store(compose.store_settings(settings))  # asked when labels come: drift goes on without it
    role.shell(
        "join",
        cluster,
        ["feedback", "feedback-waiting"],
        Joining(
            lambda recent: Join(
                partial(look_up, store), catalogue, now_ms, settings.monitor.prediction_wait_ms_max, recent
            ),
            lambda: progress.unread(cluster, "sink", "outcomes"),
        ),
        # In turns: a look-up of many costs little more than one, and labels that wait come round again and again.
        limits=FeedLimits(rows_max=settings.monitor.join_rows_max, turn_every_ms=settings.monitor.join_every_ms),
        starts=starts,
    )
    role.shell(
        "judge",
        cluster,
        ["counts"],
        Restored(cluster, lambda topic, partition: Judge(catalogue), settings.monitor.snapshot_interval_ms_max),
        starts=starts,
    )
    if settings.monitor.notify:
        send = sender(open_reference(address) for address in settings.monitor.notify)
        step = Notify(send, f"http://{settings.page.host}:{settings.page.port}")
        # One who has just been named wants no pages of last year.
        role.shell("notify", cluster, ["alerts"], step, starts=Starts(from_end=True))
    role.run()
