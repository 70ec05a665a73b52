"""What serves now: for each model its route, its loaded versions, and the schema that its requests are read by."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import msgspec
import structlog

from inference.backends import error_text
from inference.serving.projection import Projection, union
from inference.serving.scorer import Scorer
from inference.serving.standby import Standby, fallback_scorers
from streams.away import Away
from streams.clock import ticks_ms
from streams.wire.records import DEFAULT_VERSION, Route
from streams.wire.route import check, versions
from streams.wire.schema import FeatureSchema

log = structlog.get_logger("inference.serving.models")

Load = Callable[[str, str], Scorer]
#: How long requests wait for their model to be loaded.
LOAD_S_MAX = 300.0


class Served(msgspec.Struct, frozen=True):
    """A model as it serves under one route. ``schema`` is the union of its versions' inputs; ``standbys`` answer in
    place of versions that are away.
    """

    route: Route
    schema: FeatureSchema
    scorers: Mapping[str, Scorer]
    views: Mapping[str, Projection]
    standbys: Mapping[str, Standby] = {}


class NotServed(msgspec.Struct, frozen=True):
    """A model that has a route and no loaded version.

    ``why`` loading failed is empty while it is under way. ``away`` says that it failed because something does not
    answer: the version may be whole, and its requests wait. Else the version is at fault, and they are refused.
    ``since_ms`` is when it was expected first, monotonic.
    """

    route: Route
    why: str = ""
    away: bool = False
    since_ms: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether requests wait for it."""
        return self.away or not self.why

    def __str__(self) -> str:
        named = f"{self.route.model} {', '.join(versions(self.route))}"
        return f"{named} cannot be loaded: {self.why}" if self.why else f"{named} is being loaded"


class NotLoadedYet(RuntimeError):
    """Requests name a model that is still being loaded, or cannot be for now; they should come again."""


class Serving:
    """Follows routes: loads what they name, keeps what they still need, lets go of the rest.

    Parameters
    ----------
    load
        Loads a version of a model, as `Registry.load` does; may take seconds, and is called from the thread of
        whoever hands in the route. What it raises is the version's fault, but for `Away`.
    former
        Earlier routes of a route's model, the newest first. While nothing of a model serves yet, and the version that
        its route names is at fault, the newest of these that can be served holds.
    ticks
        Monotonic time, ms.
    without_fallback
        Models whose versions nobody stands in for.
    """

    def __init__(
        self,
        load: Load,
        former: Callable[[Route], Sequence[Route]] = lambda route: (),
        ticks: Callable[[], float] = ticks_ms,
        without_fallback: Collection[str] = (),
    ) -> None:
        self._without_fallback = frozenset(without_fallback)
        self._ticks = ticks
        self._load = load
        self._former = former
        self._lock = threading.Lock()
        self._models: Mapping[str, Served] = MappingProxyType({})
        self._missing: Mapping[str, NotServed] = MappingProxyType({})
        self._changed = threading.Condition()

    def follow(self, route: Route) -> bool:
        """Serve by a route from the next micro-batch on; returns whether it was news.

        Raises
        ------
        RouteError, RegistryError, ArtefactError, SchemaError
            The route cannot be served; the former one stays.
        Away
            It cannot be served now: try again.
        """
        self.expect(route)
        known = self._models.get(route.model)
        if known is not None and route.epoch <= known.route.epoch:
            return False
        try:
            served = self._served(check(route), known)
        except Exception as error:
            if known is None:
                self._do_without(route, error)
            raise
        if not self._serve(served):
            return False
        log.info("serving.follows", model=route.model, epoch=route.epoch, champion=route.champion)
        return True

    def _serve(self, served: Served) -> bool:
        """Serve a model that is loaded, unless a newer route came to be served meanwhile: loads are not in order."""
        route = served.route
        with self._lock:
            newest = self._models.get(route.model)
            if newest is not None and route.epoch <= newest.route.epoch:
                return False
            self._models = MappingProxyType({**self._models, route.model: served})
            self._note(route.model, None)
        return True

    def _do_without(self, route: Route, error: Exception) -> None:
        """Serve a model by a former route, where the newest is at fault; else take note why none serves."""
        away = isinstance(error, Away)
        for former in () if away else self._former(route):
            try:
                served = self._served(check(former), None)
            except Away:
                away = True
                break
            except Exception as worse:
                log.warning("serving.former_route", model=route.model, epoch=former.epoch, why=error_text(worse))
                continue
            self._serve(served)
            return
        self._note_missing(NotServed(route, str(error) or type(error).__name__, away))

    def expect(self, route: Route) -> None:
        """Take note of a route that will be followed: until it is, requests of its model wait."""
        known = self._missing.get(route.model)
        # A model at fault is tried again in the background; its requests are refused meanwhile.
        if known is None or known.route.epoch < route.epoch:
            self._note_missing(NotServed(route, since_ms=self._ticks()))

    def _note_missing(self, missing: NotServed) -> None:
        """Note why a model does not serve, unless it does, or waits for a newer route: loads are not in order."""
        model, epoch = missing.route.model, missing.route.epoch
        with self._lock:
            known = self._missing.get(model)
            if model not in self._models and (known is None or known.route.epoch <= epoch):
                self._note(model, missing)

    def models(self) -> Mapping[str, Served]:
        """What serves now: a picture that later routes do not change."""
        return self._models

    def missing(self) -> Mapping[str, NotServed]:
        """Models that have a route and no loaded version."""
        return self._missing

    def waits_for(self) -> str | None:
        """Why no request can be answered at all, in a sentence; None as soon as one model serves."""
        if self._models:
            return None
        if self._missing:
            return "; ".join(str(missing) for _, missing in sorted(self._missing.items()))
        return "no route yet: driftline model route NAME VERSION"

    def fallbacks(self) -> str:
        """Which versions are away and who answers in their place, in a sentence; empty where there is none."""
        standbys = [standby for _, served in sorted(self._models.items()) for standby in served.standbys.values()]
        return "; ".join(filter(None, (standby.note() for standby in standbys)))

    def wait_while_loading(self, model: str, wait_s: float) -> None:
        """Wait until a model is loaded, or is known to be at fault.

        Raises
        ------
        NotLoadedYet
            It takes longer than ``wait_s``. After `LOAD_S_MAX` it is taken to be at fault, for requests of others wait
            behind its own; it serves all the same where it is loaded later.
        """
        with self._changed:
            if self._changed.wait_for(lambda: not self._is_loading(model), wait_s):
                return
            missing = self._missing[model]
            if missing.why or self._ticks() - missing.since_ms <= LOAD_S_MAX * 1000:
                raise NotLoadedYet(f"requests name {missing}")
            why = f"it has been loading for {LOAD_S_MAX:.0f} s; see what its load() or its first batch waits for"
            self._note(model, msgspec.structs.replace(missing, why=why))

    def _is_loading(self, model: str) -> bool:
        return model in self._missing and self._missing[model].waits

    def _note(self, model: str, missing: NotServed | None) -> None:
        with self._changed:
            others = {name: reason for name, reason in self._missing.items() if name != model}
            self._missing = MappingProxyType(others if missing is None else {**others, model: missing})
            self._changed.notify_all()

    def _served(self, route: Route, known: Served | None) -> Served:
        named = versions(route)
        kept = known.scorers if known else {}
        scorers = {version: kept.get(version) or self._load(route.model, version) for version in named}
        if known:  # a route that is followed already goes on until its successor can be
            _refuse_untried(scorers.values())
        instead = self._instead(route, scorers, known)
        schemas = [scorers[version].package.schema for version in named]
        others = [scorer.package.schema for scorer, _ in instead.values()]  # behind: they ask no more of a request
        whole = union([*schemas, *others], answering=len(named) - len(route.shadows))
        views = {version: Projection(whole, schema) for version, schema in zip(named, schemas, strict=True)}
        standbys = {
            version: Standby(
                scorers[version].package, scorer, Projection(whole, scorer.package.schema), after_s, self._ticks
            ).follow(known.standbys.get(version) if known else None)
            for version, (scorer, after_s) in instead.items()
        }
        return Served(route, whole, MappingProxyType(scorers), MappingProxyType(views), MappingProxyType(standbys))

    def _instead(
        self, route: Route, scorers: Mapping[str, Scorer], known: Served | None
    ) -> Mapping[str, tuple[Scorer, float]]:
        """Who answers in place of a route's versions while they are away; loaded anew where nobody has it yet."""
        if route.model in self._without_fallback:
            return {}
        kept = dict(known.scorers) if known else {}
        for standby in known.standbys.values() if known else ():
            if standby.scorer.package.version != DEFAULT_VERSION:
                kept[standby.scorer.package.version] = standby.scorer
        return fallback_scorers(route, scorers, lambda version: kept.get(version) or self._load(route.model, version))


def _refuse_untried(scorers: Collection[Scorer]) -> None:
    for scorer in scorers:
        if scorer.untried is not None:
            raise scorer.untried
