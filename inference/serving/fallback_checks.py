"""Which version may answer in place of another one that is away, and under which routes."""

from inference.backends.errors import ArtefactError
from inference.backends.remote.fallback import Fallback
from inference.packages.model_toml import ModelPackage
from streams.wire.records import Route
from streams.wire.route import RouteError


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
    positive = other.outputs.positive != package.outputs.positive  # whose probability the score is
    if other.task != package.task or positive or set(other.outputs.classes) != set(package.outputs.classes):
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
    if not package.outputs.classes:
        return package.task
    positive = f" with positive {package.outputs.positive!r}" if package.outputs.positive else ""
    return f"{package.task} {list(package.outputs.classes)}{positive}"
