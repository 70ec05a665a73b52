"""The store: the embedded engine where no ClickHouse is named, and the sink that writes to either."""

from contextlib import nullcontext

import structlog

from drift.reference.catalogue import Catalogue, Unwatched
from drift.reference.reference import Reference
from drift.store import Store, migrate
from drift.store.server import StoreServer
from drift.store.sink import Sink
from driftline.roles import access, parts
from driftline.roles.needs import store_need
from driftline.settings import Settings
from streams.away import Away, patiently
from streams.kafka.admin import await_topics
from streams.runtime.agent import transaction_s_max
from streams.runtime.app import Role
from streams.runtime.intents import CutLimits, IntentStep, by_intents
from streams.runtime.limits import ConsumerLimits
from streams.runtime.start_offsets import StartOffsets
from streams.wire.dead_letters import DEAD_LETTERS
from streams.wire.route_book import RouteBook

log = structlog.get_logger("driftline.store")


def run(settings: Settings, slot: str, port: int) -> None:
    """Run the store.

    Parameters
    ----------
    slot, port
        As of `driftline.roles.worker.run`.
    """
    cluster = parts.cluster(settings)
    where = parts.store_settings(settings)
    engine = (
        StoreServer(parts.store_folder(settings), where.host, where.port) if settings.embedded_store else nullcontext()
    )
    role = Role(cluster, "store", slot, port, settings.roles.host, folder=settings.data_dir / "faust")
    if not settings.embedded_store:  # which is this process
        role.needs.append(store_need(settings, blocks=True))
    role.begin()
    with engine:
        patiently(lambda: migrate(where), role.awaits, lambda: False)
        sink = Sink(Store(where), _references(settings))
        await_topics(cluster, [*sink.topics, "models", "snapshots"], access.ROLES["store"], awaits=role.awaits)
        limits = CutLimits(rows_max=settings.sink.rows_max, wait_ms_max=settings.sink.wait_ms_max)
        step = IntentStep(cluster, sink.prepare, limits, order=sink.topics)
        role.follow_models(RouteBook(), lambda route: None)
        role.add_agent(
            "sink",
            cluster,
            sink.topics,
            step,
            limits=ConsumerLimits(rows_max=settings.sink.rows_max, quiet_batch_ms=settings.sink.wait_ms_max),
            start_offsets=StartOffsets(accept_gap=settings.kafka.accept_gap),
            writes=[DEAD_LETTERS],
            commit=by_intents(step, transaction_s_max(cluster)),
            set_aside=sink.set_aside,
        )
        role.run()


def _references(settings: Settings) -> Catalogue:
    """References for the page's comparison by cell. Rows are stored without one, too: that is said, and no reason to
    stop."""
    find = parts.catalogue(settings, warn=True)

    def reference(model: str, version: str) -> Reference:
        try:
            return find(model, version)
        except (Unwatched, Away):
            raise
        except Exception as error:
            log.warning("store.no_reference", model=model, version=version, why=str(error))
            raise Unwatched(str(error)) from error

    return reference
