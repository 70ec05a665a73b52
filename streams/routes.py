"""The route book: what `models` says, read whole at start and followed; the newest epoch of each model holds."""

from collections.abc import Callable

import msgspec

from streams import ranges
from streams.cluster import Cluster
from streams.outbox import Outbox
from streams.records import Route, RouteCopy
from streams.stage import Publish


class RouteBook:
    """Routes by model.

    >>> book = RouteBook()
    >>> book.take(msgspec.json.encode(Route(model="m", epoch=1, ts=0, champion="v1"))).champion
    'v1'
    >>> book.take(msgspec.json.encode(Route(model="m", epoch=1, ts=5, champion="v2"))) is None  # the first writer wins
    True
    """

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.history: list[Route] = []

    def take(self, value: bytes | None) -> Route | None:
        """Take one event; returns the route if it is news."""
        if value is None:
            return None
        route = msgspec.json.decode(value, type=Route)
        known = self.routes.get(route.model)
        if known is not None and route.epoch <= known.epoch:
            return None
        self.routes[route.model] = route
        self.history.append(route)
        return route

    def __getitem__(self, model: str) -> Route:
        return self.routes[model]

    def default(self) -> str | None:
        """The model that a request without a name means: the only one, else none."""
        return next(iter(self.routes)) if len(self.routes) == 1 else None


def read_book(cluster: Cluster) -> RouteBook:
    """Read `models` whole."""
    book = RouteBook()
    for block in ranges.read_all(cluster, "models"):
        for value in block.values:
            book.take(value)
    return book


def announce(cluster: Cluster, change: Callable[[RouteBook], Route]) -> Route:
    """Write a model's next epoch on `models`, and its copy on `counts`, in one transaction.

    Writers share one transactional id: the younger fences the older, so no two can write the same epoch.

    Parameters
    ----------
    change
        Given the book as it stands, returns the new route; its epoch is set here.
    """
    outbox = Outbox(cluster, "routes")
    try:
        outbox.sweep(["models", "counts"])
        book = read_book(cluster)
        route = change(book)
        known = book.routes.get(route.model)
        route = msgspec.structs.replace(route, epoch=known.epoch + 1 if known else 1)
        key = route.model.encode()
        copy = msgspec.msgpack.encode(RouteCopy(model=route.model, route=route))
        messages = [Publish("models", msgspec.json.encode(route), key=key), Publish("counts", copy, key=key)]
        outbox.settle([], messages, None)
        return route
    finally:
        outbox.close()
