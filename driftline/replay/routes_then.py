"""Which route each block was served by.

A worker follows `models` a moment after it is written, and that moment is no record. But every observation names its
version, so the route of a block is the epoch that explains who answered: the one that held before it if that does,
else the next one that does.
"""

from collections.abc import Mapping, Sequence

from driftline.replay.served import Observed
from inference.serving.routing import by_version
from streams.wire.records import Route

Routes = Mapping[str, Route]


def decide(history: Sequence[Route], blocks: Sequence[Sequence[Observed]]) -> list[Routes]:
    """The routes of all models under which each live block of one partition was served.

    Parameters
    ----------
    history
        Every route in the order in which it was announced.
    """
    by_model: dict[str, list[Route]] = {}
    for route in history:
        by_model.setdefault(route.model, []).append(route)
    held = dict.fromkeys(by_model, 0)
    decided: list[Routes] = []
    for block in blocks:
        for model in {message.head.model for message in block} & set(by_model):
            messages = [message for message in block if message.head.model == model]
            held[model] = _next(by_model[model], messages, held[model])
        decided.append({model: routes[held[model]] for model, routes in by_model.items()})
    return decided


def first_routes(history: Sequence[Route]) -> dict[str, int]:
    """When each model had its first route, ms."""
    first: dict[str, int] = {}
    for route in history:
        first.setdefault(route.model, route.ts)
    return first


def announced(first: Mapping[str, int], routes: Routes, time_ms: int) -> Routes:
    """Those of some routes whose models had one by a time; all of them where none had.

    Parameters
    ----------
    first
        As of `first_routes`.
    routes
        The routes of all models.
    time_ms
        Kafka's time of a request.

    >>> routes = {name: Route(model=name, epoch=1, ts=ts, champion="v1") for name, ts in (("a", 10), ("b", 90))}
    >>> first = first_routes(list(routes.values()))
    >>> sorted(announced(first, routes, 50)), sorted(announced(first, routes, 5))
    (['a'], ['a', 'b'])
    """
    there = {model: route for model, route in routes.items() if first.get(model, 0) <= time_ms}
    return there or routes


def _next(routes: Sequence[Route], block: Sequence[Observed], held: int) -> int:
    order = (held, *range(held + 1, len(routes)), *range(held))
    return next((n for n in order if explains(routes[n], block)), held)


def explains(route: Route, block: Sequence[Observed]) -> bool:
    """Whether a route would have sent these rows where they went; where a fallback answered, no route did."""
    shadows = {message.head.version for message in block if not message.answers}
    answers = [message for message in block if message.answers and not message.by_fallback]
    return shadows == set(route.shadows) and all(_sends(route, message) for message in answers)


def _sends(route: Route, message: Observed) -> bool:
    if not route.canary:
        return (message.head.version, message.role) == (route.champion, "champion")
    wanted = (message.head.version, message.role, len(message.ids))
    return any(
        (part.version, part.role, len(part.rows)) == wanted for part in by_version(route, message.ids.to_pylist())
    )
