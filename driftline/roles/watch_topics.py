"""Topics that somebody else fills: found, checked against their references, and watched by the monitor."""

import time

import msgspec
import structlog

from drift.counting.external import ExternalTopics, Mapping, Misfit, RecordReader
from drift.reference.catalogue import Catalogue, Unwatched
from drift.reference.reference import Reference
from driftline.roles import parts
from driftline.settings import Settings, SettingsError
from driftline.settings_schema import Monitor, WatchTopic
from inference.packages.versions import conflict
from streams.away import Away
from streams.clock import now_ms
from streams.formats.untyped import UntypedReader
from streams.kafka import admin
from streams.kafka.cluster import Cluster
from streams.kafka.topics import FOREIGN
from streams.routes import announce, read_book
from streams.runtime.app import Role
from streams.runtime.limits import ConsumerLimits
from streams.runtime.set_aside import SetAside
from streams.runtime.stage import PerPartition
from streams.runtime.start_offsets import StartOffsets
from streams.wire.effects import Effects
from streams.wire.records import DAY_MS, HOUR_MS, Route
from streams.wire.route_book import RouteBook

log = structlog.get_logger("driftline.roles.watch_topics")

_AWAY_S = 5.0


def limits(monitor: Monitor, rows_max: int = ConsumerLimits().rows_max) -> ConsumerLimits:
    """Limits of a consumer whose partitions become idle, and asleep; that is told again after an hour, a day and a week
    more, for a window of such a length is over by the clock only then.

    >>> limits(Monitor()).idle_after_ms, limits(Monitor()).asleep_after_ms[:2]
    (10000, (60000, 3660000))
    """
    asleep = monitor.idle_after_ms + monitor.asleep_after_ms
    asleep_after_ms = tuple(asleep + more for more in (0, HOUR_MS, DAY_MS, 7 * DAY_MS))
    return ConsumerLimits(rows_max=rows_max, idle_after_ms=monitor.idle_after_ms, asleep_after_ms=asleep_after_ms)


def record_readers(settings: Settings, catalogue: Catalogue, skip: bool = False) -> dict[str, list[RecordReader]]:
    """What is looked for in each topic, by its name on the cluster.

    Parameters
    ----------
    skip
        Leave out what has no reference, with a word in the log: a monitor has others to watch. Its topic is not read
        on, so nothing of it is lost. Where the registry is away, wait for it.

    Raises
    ------
    SettingsError
        A reference is not there, or has what the mapping does not name.
    """
    readers: dict[str, list[RecordReader]] = {}
    kinds: dict[str, dict[str, dict[str, str]]] = {}
    for n, watched in enumerate(settings.watch_topics):
        named = msgspec.convert(watched.model_dump(include=set(Mapping.__struct_fields__)), Mapping)
        try:
            reference = _reference(catalogue, watched.model, watched.version, wait=skip) if named.predicts else None
            if reference is not None:
                _refuse_conflict(watched, reference, kinds.setdefault(watched.model, {}))
            readers.setdefault(watched.topic, []).append(RecordReader(named, reference))
        except Misfit as error:
            raise SettingsError(f"watch_topics.{n}.{error}") from None
        except (Unwatched, Away) as error:
            text = f"watch_topics.{n}.reference: {error}; name a file that `driftline reference build` made"
            if not skip:
                raise SettingsError(text) from None
            log.error("watching.left_out", topic=watched.topic, model=watched.model, version=watched.version, why=text)
    return readers


def _reference(catalogue: Catalogue, model: str, version: str, wait: bool) -> Reference:
    while True:
        try:
            return catalogue(model, version)
        except Away as error:
            if not wait:
                raise
            log.warning("watching.waits", model=model, version=version, why=str(error))
            time.sleep(_AWAY_S)


def _refuse_conflict(watched: WatchTopic, reference: Reference, before: dict[str, dict[str, str]]) -> None:
    """Refuse a version of which a column is of another kind than in one before; notes its kinds otherwise."""
    its_kinds: dict[str, str] = {feature.name: feature.kind for feature in reference.schema.features}
    for version, kinds in before.items():
        if version != watched.version and (why := conflict(its_kinds, version, kinds)):
            raise Unwatched(f"{watched.model} {watched.version}: {why}")
    before[watched.version] = its_kinds


def routes(settings: Settings) -> list[Route]:
    """What `models` should say of the models that are watched: the settings rule it.

    Of several versions the first is the champion, whose windows may open incidents; the others are shadows.
    """
    versions: dict[str, list[str]] = {}
    for watched in settings.watch_topics:
        if (watched.score or watched.prediction) and watched.version not in versions.setdefault(watched.model, []):
            versions[watched.model].append(watched.version)
    watch = parts.watch(settings)
    return [
        Route(model=model, epoch=0, ts=0, champion=first, shadows=tuple(others), watch=watch, reason="watch_topics")
        for model, (first, *others) in versions.items()
    ]


def seed(settings: Settings, cluster: Cluster) -> RouteBook:
    """Announce the routes that have changed; returns the book as it stands then."""
    book = read_book(cluster)
    for route in routes(settings):
        known = book.routes.get(route.model)
        if known is None or not _same(known, route):
            new = msgspec.structs.replace(route, ts=now_ms())
            book.apply(msgspec.json.encode(announce(cluster, lambda _, new=new: new)))  # type: ignore[misc]
    return book


def _same(known: Route, route: Route) -> bool:
    def plain(either: Route) -> Route:
        return msgspec.structs.replace(either, epoch=0, ts=0, reason="")

    return plain(known) == plain(route)


def add_agent(role: Role, settings: Settings, catalogue: Catalogue, observations: int) -> None:
    """Have the monitor watch the topics, if there are any.

    Parameters
    ----------
    observations
        Partitions of `observations`.

    Raises
    ------
    SettingsError
        See `record_readers`.
    """
    wanted = record_readers(settings, catalogue, skip=True)
    if not wanted:
        return
    formats = {watched.topic: watched.format for watched in settings.watch_topics}
    registry = parts.schema_registry(settings)
    aside = SetAside("watch")
    stages = {
        FOREIGN + topic: ExternalTopics(looked_for, UntypedReader(formats[topic], registry), 0, observations, aside)
        for topic, looked_for in wanted.items()
    }

    def stage(topic: str, partition: int, memory: str) -> ExternalTopics:  # noqa: ARG001
        """The topic's stage, told anew how many partitions there are: the topic may not have been there, or not all."""
        counts = admin.foreign_partitions(role.cluster, [role.cluster.topic(topic)])
        stages[topic].resize(max(partition + 1, *counts.values()))
        return stages[topic]

    def idle(topic: str, partition: int) -> Effects:
        return stages[topic].silence(topic, partition, "idle", now_ms())

    def asleep(topic: str, partition: int) -> Effects:
        return stages[topic].silence(topic, partition, "asleep", now_ms())

    role.add_agent(
        "watch",
        role.cluster,
        list(stages),
        PerPartition(stage, idle, asleep),
        writes=["observations", "feedback", "dead-letters"],
        set_aside=aside,
        limits=limits(settings.monitor),
        start_offsets=StartOffsets(settings.monitor.watch_from == "latest", settings.kafka.accept_gap),
    )
