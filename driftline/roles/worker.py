"""The worker: requests in, predictions out."""

import threading
from functools import partial
from importlib import import_module

from driftline.roles import access, parts
from driftline.roles.following import Following
from driftline.settings import Settings
from inference import InHand, Registry, Score, Scorer, Serving, Shadows
from inference.backends.devices import device_of_slot, share_cores
from inference.backends.workers import Workers
from inference.scoring.shadows import TRUSTED_AFTER
from inference.serving.batch_target import strictest_target
from inference.serving.hung_calls import watch_calls
from streams.clock import now_ms
from streams.fatal import Fatal
from streams.formats.decoder import Decoder
from streams.kafka.admin import FOLLOW_REQUESTS, await_topics
from streams.routes import read_book
from streams.runtime.agent import end_process
from streams.runtime.app import Role
from streams.runtime.batch_tuner import BatchTuner
from streams.runtime.limits import ConsumerLimits
from streams.runtime.needs import Need
from streams.runtime.start_offsets import StartOffsets
from streams.wire.schema import FeatureSchema

#: How long nothing comes until what shadows have said meanwhile leaves; a slow one says it after minutes.
_SILENT_MS = tuple(1_000 * 2**n for n in range(13))
#: A registry in an object store is asked less often: each question is paid for.
_REGISTRY_S = 10.0


def run(settings: Settings, slot: str, port: int) -> None:
    """Run one worker. Slots are stable over restarts: a restarted slot aborts what its predecessor left open.

    Parameters
    ----------
    slot
        Its name among the workers: part of its transactional ids, so two that run never share one.
    port
        Of ``/livez``, ``/readyz``, ``/metrics`` and ``/status``, on `roles.host`.
    """
    cluster = parts.cluster(settings)
    registry = Registry(settings.registry)
    score = settings.score
    topics = ("requests", "predictions", "observations", "dead-letters", "models", "snapshots")
    role = Role(cluster, "worker", slot, port, settings.roles.host, folder=settings.data_dir / "faust")
    schemas = parts.schema_registry(settings)
    if schemas:
        role.needs.append(Need("the schema registry", schemas.ask))

    def models() -> None:
        if role.serving:  # a new deployment's registry holds nothing, and nobody waits for it
            registry.ask()

    role.needs.append(Need(f"registry {registry.address}", models, every_s=_REGISTRY_S))
    role.begin()
    await_topics(cluster, topics, access.ROLES["worker"], awaits=role.awaits)
    book = read_book(cluster)
    share_cores(settings.roles.workers)
    on = device_of_slot("cpu" if score.workers else score.device, slot)
    workers = Workers(tuple(score.workers), score.workers_ca) if score.workers else None

    def load(name: str, version: str) -> Scorer:
        return registry.load(name, version, on, trust_code=score.trust_code, workers=workers, may_be_away=True)

    serving = Serving(load, book.former)
    following = Following(cluster, serving, role.serving, [topic.model for topic in settings.watch_topics])

    def packed(model: str) -> FeatureSchema:
        served = serving.models()[model]
        return served.scorers[served.route.champion].package.schema

    decoder = partial(Decoder, format=score.format, registry=schemas, packed=packed)
    following.begin(book.routes.values())
    if not book.routes and not workers:
        # torch takes seconds to import, and the first route may come at any moment.
        threading.Thread(target=import_module, args=("inference.backends.torch_export",), daemon=True).start()
    role.follow_models(book, following.follow_soon)
    in_hand = InHand(settings.data_dir / "faust" / f"worker-{slot}.in-hand")
    shadows = Shadows(lambda name: InHand(settings.data_dir / "faust" / f"worker-{slot}.{name}.shadow", TRUSTED_AFTER))
    step = Score(
        serving,
        decoder,
        clock=now_ms,
        catch_up=following.catch_up,
        in_hand=in_hand,
        shadows=shadows,
        overlaps=True,
    )
    role.add_agent(
        "score",
        cluster,
        ["requests"],
        step,
        writes=["predictions", "observations", "dead-letters"],
        alike=FOLLOW_REQUESTS,
        limits=ConsumerLimits(
            rows_max=score.turn_rows_max, idle_after_ms=_SILENT_MS[0], asleep_after_ms=_SILENT_MS[1:]
        ),
        start_offsets=StartOffsets(accept_gap=settings.kafka.accept_gap),
        weigh=step.weigh,
        tuner=BatchTuner("score", lambda: strictest_target(serving.models()), score.turn_rows_max),
        hold=serving.waits_for,  # requests wait for the first model, and are not refused for want of it
        figures=step.figures,
        absent=following.absent,
        behind=lambda: "; ".join(filter(None, (following.behind(), serving.fallbacks()))),
        may_be_held=bool(settings.watch_topics),  # a deployment that only watches has no model of its own
    )
    watch_calls(lambda: step.answering, lambda why: end_process("score", Fatal(why)))
    try:
        role.run()
    finally:
        shadows.let_go()
