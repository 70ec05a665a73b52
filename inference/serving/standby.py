"""Who answers in place of a version that is away: another version of its model, or a fixed score.

The version is asked first each time, and its breakers see to it that this costs nothing: so it is tried again by one
call now and then, and answers again as soon as that one is answered.
"""

from collections.abc import Callable, Mapping

import msgspec

from inference.backends import ArtefactError, FixedScores, Shapes, Unavailable
from inference.backends.remote.fallback import Fallback
from inference.packages.model_toml import ModelPackage
from inference.serving.facts import FallbackBegins, FallbackEnds
from inference.serving.projection import Projection
from inference.serving.scorer import Scorer
from streams.wire.records import DEFAULT_VERSION, Route
from streams.wire.route import RouteError


class Standby:
    """What answers while a version is away, and since when it is.

    Parameters
    ----------
    package
        The version that may be away.
    scorer, view
        What answers then, and how it sees the rows of requests.
    after_s
        How long the version has to be away before.
    ticks
        Monotonic time, ms.
    """

    def __init__(
        self, package: ModelPackage, scorer: Scorer, view: Projection, after_s: float, ticks: Callable[[], float]
    ) -> None:
        self.scorer, self.view = scorer, view
        self._package, self._after_ms, self._ticks = package, 1000 * after_s, ticks
        self._away_since_ms: float | None = None
        self._answers, self._why = False, ""

    def follow(self, former: "Standby | None") -> "Standby":
        """Go on from what a former route knew of the same version."""
        if former is not None and former._package == self._package:
            self._away_since_ms, self._answers, self._why = former._away_since_ms, former._answers, former._why
        return self

    def answers_now(self, why: Unavailable) -> bool:
        """Whether rows are answered here, now that a call to the version has failed."""
        now_ms, self._why = self._ticks(), str(why)
        if self._away_since_ms is None:
            self._away_since_ms = now_ms
        if not self._answers and now_ms - self._away_since_ms >= self._after_ms:
            self._answers = True
            FallbackBegins(*self._names(), self._why).tell()
        return self._answers

    def version_answers(self) -> None:
        """Take note that a call to the version was answered."""
        self._away_since_ms = None
        if self._answers:
            self._answers = False
            FallbackEnds(*self._names()).tell()

    def note(self) -> str:
        """What people are told while rows are answered here; empty otherwise."""
        since_ms = self._away_since_ms
        if not self._answers or since_ms is None:
            return ""
        model, version, fallback = self._names()
        answers = "a fixed score" if fallback == DEFAULT_VERSION else fallback
        away_s = (self._ticks() - since_ms) / 1000
        return f"{model} {version} has been away for {away_s:.0f} s, {answers} answers in its place: {self._why}"

    def _names(self) -> tuple[str, str, str]:
        return self._package.name, self._package.version, self.scorer.package.version


def fallback_scorers(
    route: Route, scorers: Mapping[str, Scorer], load: Callable[[str], Scorer]
) -> dict[str, tuple[Scorer, float]]:
    """What answers in place of the versions of a route, by version, and after how many seconds.

    Parameters
    ----------
    route
        Its champion and canaries have fallbacks; a shadow needs none.
    scorers
        The loaded versions of the route.
    load
        Loads a version that the route does not name.

    Raises
    ------
    ArtefactError, RouteError
        A version cannot be another's fallback.
    """
    standing_by: dict[str, tuple[Scorer, float]] = {}
    loaded = dict(scorers)
    for version in (route.champion, *sorted(route.canary)):
        scorer = scorers[version]
        if (fallback := scorer.fallback) is None:
            continue
        if not fallback.version:
            standing_by[version] = _fixed(scorer.package, fallback), fallback.after_s
            continue
        refuse_shadow(route, version, fallback.version)
        if fallback.version not in loaded:
            loaded[fallback.version] = load(fallback.version)
        other = loaded[fallback.version]
        refuse_misfit(scorer.package, other.package, other.fallback)
        standing_by[version] = other, fallback.after_s
    return standing_by


def refuse_shadow(route: Route, version: str, fallback: str) -> None:
    """Refuse a route by which a version would count a request twice: as a shadow, and as a fallback.

    Parameters
    ----------
    version, fallback
        One that answers, and what answers while it is away.

    Raises
    ------
    RouteError
        The fallback is a shadow of the route.
    """
    if fallback in route.shadows:
        raise RouteError(
            f"{route.model} {fallback} is the fallback of {version}, and would be its shadow: what it answers would be "
            "counted twice; leave it out of the shadows"
        )


def refuse_misfit(package: ModelPackage, other: ModelPackage, others_fallback: Fallback | None) -> None:
    """Refuse a version as another's fallback.

    Parameters
    ----------
    package
        The version that may be away.
    other, others_fallback
        The one that would answer in its place, and who answers in place of that one.

    Raises
    ------
    ArtefactError
        It answers otherwise, requires more of a request, or has a fallback itself.
    """
    name = f"{package.name} {package.version}: fallback {other.version!r}"
    if others_fallback is not None:
        raise ArtefactError(
            f"{name} may be away itself and has a fallback; there are no chains: name a version that has none"
        )
    if other.task != package.task or set(other.outputs.classes) != set(package.outputs.classes):
        ours, theirs = (_answers(each) for each in (package, other))
        raise ArtefactError(f"{name} answers otherwise, {theirs} instead of {ours}; name one that answers alike")
    needed = {feature.name for feature in package.inputs if feature.required}
    more = [feature.name for feature in other.inputs if feature.required and feature.name not in needed]
    if more:
        raise ArtefactError(
            f"{name} requires {', '.join(map(repr, more))}, which {package.version} does not: requests without it "
            "would be refused for an outage; name another version, or require it in both"
        )


def _answers(package: ModelPackage) -> str:
    return f"{package.task} {list(package.outputs.classes)}" if package.outputs.classes else package.task


def _fixed(package: ModelPackage, fallback: Fallback) -> Scorer:
    """What answers with a fixed score: nobody's, so it goes by a version of that name alone."""
    fixed = msgspec.structs.replace(package, version=DEFAULT_VERSION)
    return Scorer(fixed, FixedScores(fallback.scores, Shapes(package.limits.shapes)))
