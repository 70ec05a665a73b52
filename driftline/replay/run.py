"""A replay from its first line to its result: read, then think."""

from collections.abc import Callable
from functools import cache

from drift.reference.catalogue import Catalogue
from driftline.progress import OnProgress, unwatched
from driftline.replay import recording
from driftline.replay.overrides import Change
from driftline.replay.rerun import rerun
from driftline.replay.result import Replay
from inference import Scorer
from streams.clock import now_ms, ticks_ms
from streams.kafka.cluster import Cluster


def replay(
    cluster: Cluster,
    load: Callable[[str, str], Scorer],
    catalogue: Catalogue,
    start: str | None = None,
    end: str | None = None,
    change: Change | None = None,
    on_progress: OnProgress = unwatched,
) -> Replay:
    """Run a stretch of `requests` again and say what differs from what was served.

    Parameters
    ----------
    load, catalogue
        Find a version of a model, and its reference.
    start, end
        Places in the log as `streams.kafka.stretch.moment` reads them; the whole topic by default.
    change
        What is to be otherwise; nothing by default.
    on_progress
        Called with what is being done and how far it is.

    Raises
    ------
    ReplayError, MomentError
        There is nothing to replay, or the change names a model that does not serve.
    """
    began, change, load = ticks_ms(), change or Change(), cache(load)
    routes = recording.routes(cluster)
    for model, version in change.instead(sorted({route.model for route in routes})).items():
        load(model, version)  # A version that is not there should be refused before the work.
    on_progress("reading what was served", 0, None)
    stretch = recording.read(cluster, routes, start, end, now_ms())
    result = rerun(stretch, load, catalogue, change, on_progress)
    result.seconds = (ticks_ms() - began) / 1000
    return result
