"""Which version serves: changes of a model's route, checked against the registry before they are announced."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import msgspec

from driftline.commands.canary_shares import read_shares
from inference import Registry, VersionRemoved
from inference.packages.manifest import Manifest
from inference.serving.fallback_checks import refuse_shadow
from streams.clock import now_ms
from streams.kafka import admin
from streams.kafka.cluster import Cluster
from streams.routes import announce, read_book
from streams.wire.records import Route, Watch
from streams.wire.route import RouteError, check, versions
from streams.wire.route_book import RouteBook

#: How long a broker may take to answer the first question.
_ANSWER_S = 5.0


class RouteAdmin:
    """Where routes are changed.

    Parameters
    ----------
    watch
        How a model is watched from its first route on, and whenever ``renew`` is asked for.
    elsewhere
        Models that somebody else serves: no requests of theirs come here.
    """

    def __init__(self, cluster: Cluster, registry: Registry, watch: Watch, elsewhere: Collection[str] = ()) -> None:
        self._cluster = cluster
        self._registry = registry
        self._watch = watch
        self._elsewhere = frozenset(elsewhere)

    def book(self) -> RouteBook:
        """The routes as they stand.

        Raises
        ------
        TopicError
            No broker answers.
        """
        if "models" not in admin.partition_counts(self._cluster, _ANSWER_S):
            return RouteBook()
        return read_book(self._cluster)

    def route(
        self,
        name: str,
        version: str | None = None,
        canary: Collection[str] = (),
        shadows: Collection[str] = (),
        *,
        renew: bool = False,
        reason: str = "",
    ) -> Route:
        """Say which versions answer: all that is not said ends, but for the champion.

        Parameters
        ----------
        version
            The champion; with a bare share (``5%``) the canary, beside the champion that serves. None keeps the
            champion.
        canary, shadows
            Shares as `driftline.commands.canary_shares.share` reads them; versions that score every request and answer
            none.
        """
        shares, champion = read_shares(version, canary)

        def change(book: RouteBook) -> Route:
            known = book.routes.get(name)
            serving = champion or (known.champion if known else None)
            if serving is None:
                raise RouteError(
                    f"{name} serves no version yet; `driftline model route {name} VERSION` names the first"
                )
            return self._next(known, name, serving, shares, tuple(shadows), renew, reason)

        return self._announce(change)

    def promote(self, name: str, version: str, *, reason: str = "") -> Route:
        """Make a version the champion; canaries end, other shadows go on.

        Parameters
        ----------
        name
            Of the model.
        version
            One that is in the registry.
        reason
            Kept with the route.
        """

        def change(book: RouteBook) -> Route:
            return self._crowned(book.routes.get(name), name, version, reason)

        return self._announce(change)

    def roll_back(self, name: str, *, reason: str = "") -> Route:
        """Make the champion before this one the champion again; canaries end, other shadows go on.

        Once more goes back one more: what was rolled back from is not gone back to.

        Raises
        ------
        RouteError
            There was none.
        """

        def change(book: RouteBook) -> Route:
            known = book.routes.get(name)
            if known is None:
                raise RouteError(f"{name} serves no version yet; `driftline model list` shows what there is")
            reigns = champions([route for route in book.history if route.model == name])
            if len(reigns) < 2:
                raise RouteError(
                    f"{known.champion} is the first champion that {name} had: there is nothing to go back to; "
                    f"`driftline model promote {name} VERSION` names another"
                )
            back = reigns[-2]
            try:
                self._registry.package(name, back.champion)
            except VersionRemoved as error:
                raise RouteError(
                    f"{error}, and was the champion before; `driftline model promote {name} VERSION` names another"
                ) from None
            route = self._crowned(known, name, back.champion, reason or f"rolled back from {known.champion}")
            return msgspec.structs.replace(route, restores=back.epoch)

        return self._announce(change)

    def remove(self, name: str, version: str) -> Manifest:
        """Remove a version that no route names from the registry.

        Raises
        ------
        RouteError
            A route names it.
        RegistryError
            There is no such version.
        TopicError
            No broker answers, so nobody knows what serves.
        """
        route = self.book().routes.get(name)
        does = role(route, version) if route else ""
        if route is not None and does == "champion":
            raise RouteError(
                f"{name} {version} is the champion: it answers requests; "
                f"run `driftline model promote {name} VERSION` with another version first"
            )
        if route is not None and does:
            raise RouteError(
                f"{name} {version} serves as {does}; run `driftline model route {name} {route.champion}` first, "
                "which ends canaries and shadows"
            )
        if route is not None and (answering := self._answering_with(route, version)):
            raise RouteError(
                f"{name} {version} is the fallback of {answering}, which answers requests; run "
                f"`driftline model promote {name} VERSION` with a version that does not need it first"
            )
        return self._registry.remove(name, version)

    def warnings(self, name: str) -> list[str]:
        """What a first route of a model changes for others: requests that name no model mean the only one."""
        others = sorted(self.book().routes.keys() - self._elsewhere)
        if len(others) != 1 or name in others or name in self._elsewhere:
            return []
        return [
            f"{others[0]} served alone until now, and requests that name no model were its own. With two models they "
            f'are refused: put "model": "{others[0]}" into them (driftline produce --model {others[0]})'
        ]

    def _answering_with(self, route: Route, fallback: str) -> str:
        """Which version of a route that answers has another one as its fallback; empty where none has."""
        for version in (route.champion, *sorted(route.canary)):
            with suppress(ValueError):  # a version that is damaged keeps no other
                if self._registry.fallback(route.model, version) == fallback:
                    return version
        return ""

    def _crowned(self, known: Route | None, name: str, version: str, reason: str) -> Route:
        shadows = tuple(shadow for shadow in known.shadows if shadow != version) if known else ()
        return self._next(known, name, version, {}, shadows, False, reason)

    def _next(
        self,
        known: Route | None,
        name: str,
        champion: str,
        canary: Mapping[str, float],
        shadows: tuple[str, ...],
        renew: bool,
        reason: str,
    ) -> Route:
        route = Route(
            model=name,
            epoch=0,
            ts=now_ms(),
            champion=champion,
            canary=dict(canary),
            shadows=shadows,
            watch=self._watch if known is None or renew else known.watch,
            reason=reason,
        )
        self._refuse_strangers(check(route), known)
        return route

    def _refuse_strangers(self, route: Route, known: Route | None) -> None:
        """Refuse versions that the registry lacks, and those that do another task than what serves."""
        packages = {version: self._registry.package(route.model, version) for version in versions(route)}
        tasks = {version: package.task for version, package in packages.items()}
        if known is not None and known.champion not in tasks:
            listed = {manifest.version for manifest in self._registry.list(route.model)}
            if known.champion in listed:
                tasks = {known.champion: self._registry.package(route.model, known.champion).task, **tasks}
        (first, task), *others = tasks.items()
        for version, other in others:
            if other != task:
                raise RouteError(
                    f"{route.model} {version} is {other}, and {first}, beside or after which it would serve, is "
                    f"{task}: another task is another model: give it a name of its own"
                )
        for version in (route.champion, *sorted(route.canary)):
            refuse_shadow(route, version, self._registry.fallback(route.model, version))

    def _announce(self, change: Callable[[RouteBook], Route]) -> Route:
        if "models" not in admin.partition_counts(self._cluster, _ANSWER_S):
            raise RouteError(
                f"the topics are not there yet on {self._cluster.bootstrap}; run `driftline topics create`"
            )

        def checked(book: RouteBook) -> Route:
            route = change(book)
            # Every version that ever served has its columns in the store's table, also one that is removed.
            past = [version for old in reversed(book.history) if old.model == route.model for version in versions(old)]
            for version in versions(route):
                kinds = self._registry.kinds(route.model, version)
                self._registry.refuse_conflict(route.model, version, kinds, dict.fromkeys((*versions(route), *past)))
            return route

        return announce(self._cluster, checked)


def champions(history: Sequence[Route]) -> list[Route]:
    """The champions that led to the present one, each by the route that made it one; the present one last.

    A route that restores an earlier one takes back what came after it.

    >>> route = lambda epoch, champion, restores=None: Route(
    ...     model="m", epoch=epoch, ts=0, champion=champion, restores=restores
    ... )
    >>> history = [route(1, "v1"), route(2, "v2"), route(3, "v3"), route(4, "v2", restores=2)]
    >>> [route.champion for route in champions(history)]
    ['v1', 'v2']
    """
    reigns: list[Route] = []
    for route in history:
        if route.restores is not None:
            while reigns and reigns[-1].epoch > route.restores:
                reigns.pop()
        if not reigns or reigns[-1].champion != route.champion:
            reigns.append(route)
    return reigns


class Entry(msgspec.Struct, frozen=True):
    """A version as `model list` shows it. ``serves`` is champion, canary 5 %, shadow or nothing."""

    model: str
    version: str
    task: str
    serves: str
    epoch: int | None
    since_ms: int | None
    reference: bool


def listing(registry: Registry, book: RouteBook, name: str | None = None) -> list[Entry]:
    """Every version in the registry, and every version that a route names though the registry lacks it.

    Parameters
    ----------
    book
        The routes: what serves, and what a route names though it is gone.
    name
        Only this model; None lists all.
    """
    entries = []
    for manifest in registry.list(name):
        route = book.routes.get(manifest.name)
        task = registry.package(manifest.name, manifest.version).task
        entries.append(_entry(manifest.name, manifest.version, task, route, "reference.arrow" in manifest.files))
    there = {(entry.model, entry.version) for entry in entries}
    for model, route in sorted(book.routes.items()):
        if name in (None, model):
            lost = [version for version in versions(route) if (model, version) not in there]
            entries += [_entry(model, version, "not in the registry", route, False) for version in lost]
    return entries


def _entry(model: str, version: str, task: str, route: Route | None, reference: bool) -> Entry:
    serves = role(route, version) if route else ""
    epoch, since = (route.epoch, route.ts) if route else (None, None)
    return Entry(model, version, task, serves, epoch, since, reference)


def role(route: Route, version: str) -> str:
    """Say what a version does under a route; empty for nothing.

    >>> route = Route(model="m", epoch=1, ts=0, champion="v1", canary={"v2": 0.05}, shadows=("v3",))
    >>> [role(route, version) for version in ("v1", "v2", "v3", "v4")]
    ['champion', 'canary 5 %', 'shadow', '']
    """
    if version == route.champion:
        return "champion"
    if version in route.canary:
        return f"canary {100 * route.canary[version]:.4g} %"
    return "shadow" if version in route.shadows else ""
