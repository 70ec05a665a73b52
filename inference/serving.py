"""What serves now: for each model its route, its loaded versions, and the schema that its requests are read by."""

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
import structlog

from inference.batching import Scorer
from inference.projection import Projection, union
from inference.routing import check, versions
from streams.records import Route
from streams.schema import FeatureSchema

log = structlog.get_logger("inference.serving")

Load = Callable[[str, str], Scorer]


class Served(msgspec.Struct, frozen=True):
    """A model as it serves under one route. ``schema`` is the union of its versions' inputs."""

    route: Route
    schema: FeatureSchema
    scorers: Mapping[str, Scorer]
    views: Mapping[str, Projection]


class Serving:
    """Follows routes: loads what they name, keeps what they still need, lets go of the rest.

    Parameters
    ----------
    load
        Loads a version of a model, as `Registry.load` does; may take seconds, and is called from the thread of
        whoever hands in the route.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._models: Mapping[str, Served] = MappingProxyType({})

    def follow(self, route: Route) -> bool:
        """Serve by a route from the next fold on; returns whether it was news.

        Raises
        ------
        RouteError, RegistryError, ArtefactError, SchemaError
            The route cannot be served; the former one stays.
        """
        with self._lock:
            known = self._models.get(route.model)
            if known is not None and route.epoch <= known.route.epoch:
                return False
            served = self._served(check(route), known)
            self._models = MappingProxyType({**self._models, route.model: served})
        log.info("serving.follows", model=route.model, epoch=route.epoch, champion=route.champion)
        return True

    def models(self) -> Mapping[str, Served]:
        """What serves now: a picture that later routes do not change."""
        return self._models

    def _served(self, route: Route, known: Served | None) -> Served:
        named = versions(route)
        kept = known.scorers if known else {}
        scorers = {version: kept.get(version) or self._load(route.model, version) for version in named}
        schemas = [scorers[version].package.schema for version in named]
        whole = union(schemas, answering=len(named) - len(route.shadows))
        views = {version: Projection(whole, schema) for version, schema in zip(named, schemas, strict=True)}
        return Served(route, whole, MappingProxyType(scorers), MappingProxyType(views))
