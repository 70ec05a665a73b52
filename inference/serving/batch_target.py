"""What a worker's models ask of its micro-batches: the strictest of their targets."""

from collections.abc import Mapping

from inference.serving.models import Served
from streams.runtime.batch_control import BatchTarget


def strictest_target(models: Mapping[str, Served]) -> BatchTarget | None:
    """The smallest latency, wait and batch of all versions that answer and have a target; None where none has.

    A micro-batch holds requests of all models, so each of them waits for the others.
    """
    limits = [
        served.scorers[version].package.limits
        for served in models.values()
        for version in (served.route.champion, *served.route.canary)
    ]
    targets = [(of.latency_ms_p99, of) for of in limits if of.latency_ms_p99 is not None]
    if not targets:
        return None
    return BatchTarget(
        min(latency for latency, _ in targets),
        min(of.wait_ms_max for _, of in targets),
        min(of.batch_rows for _, of in targets),
    )
