"""Routes on the log: the book of `models` read whole at start, and a change announced."""

from collections.abc import Callable

import msgspec

from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.runtime.transactions import TransactionalProducer
from streams.wire.effects import Publish
from streams.wire.records import Route, RouteCopy
from streams.wire.route_book import RouteBook


def read_book(cluster: Cluster, *, warn: bool = True) -> RouteBook:
    """Read `models` whole; with ``warn``, warn of what is passed over."""
    book = RouteBook()
    for block in ranges.read_all(cluster, "models"):
        for at, value in enumerate(block.values):
            book.apply(value, block.place(at))
    if warn:
        book.warn()
    return book


def announce(cluster: Cluster, change: Callable[[RouteBook], Route]) -> Route:
    """Write a model's next epoch on `models`, and its copy on `counts`, in one transaction.

    Writers share one transactional id: the younger fences the older, so no two can write the same epoch.

    Parameters
    ----------
    change
        Given the book as it stands, returns the new route; its epoch is set here.
    """
    producer = TransactionalProducer(cluster, "routes")
    try:
        producer.end_dangling(["models", "counts"])
        book = read_book(cluster)
        route = change(book)
        known = book.routes.get(route.model)
        route = msgspec.structs.replace(route, epoch=known.epoch + 1 if known else 1)
        key = route.model.encode()
        copy = msgspec.msgpack.encode(RouteCopy(model=route.model, route=route))
        messages = [Publish("models", msgspec.json.encode(route), key=key), Publish("counts", copy, key=key)]
        producer.commit([], messages, None)
        return route
    finally:
        producer.close()
