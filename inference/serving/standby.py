"""Who answers in place of a version that is away: another version of its model, or a fixed score.

The version is asked first each time, and its breakers see to it that this costs nothing: so it is tried again by one
call now and then, and answers again as soon as that one is answered.
"""

from collections.abc import Callable, Mapping

import msgspec

from inference.backends import FixedScores, Shapes, Unavailable
from inference.backends.remote.fallback import Fallback
from inference.packages.model_toml import ModelPackage
from inference.serving.facts import FallbackBegins, FallbackEnds
from inference.serving.fallback_checks import refuse_misfit, refuse_shadow
from inference.serving.projection import Projection
from inference.serving.scorer import Scorer
from streams.wire.records import DEFAULT_VERSION, Route


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


def _fixed(package: ModelPackage, fallback: Fallback) -> Scorer:
    """What answers with a fixed score: nobody's, so it goes by a version of that name alone."""
    fixed = msgspec.structs.replace(package, version=DEFAULT_VERSION)
    return Scorer(fixed, FixedScores(fallback.scores, Shapes(package.limits.shapes)))
