"""Routes on a real broker: every change is the next epoch, on `models` and on `counts`, for whoever reads later."""

import confluent_kafka as ck
import msgspec
import pytest
from structlog.testing import capture_logs

from streams.kafka import ranges
from streams.routes import announce, read_book
from streams.wire.records import CountsMessage, Route, RouteCopy
from streams.wire.route_book import RouteBook


def route(model: str, champion: str, epoch: int = 0) -> Route:
    return Route(model=model, epoch=epoch, ts=0, champion=champion)


def test_epochs_rise_by_one_a_model_and_the_newest_holds(cluster, eventually):
    assert announce(cluster, lambda book: route("churn", "v1")).epoch == 1
    assert announce(cluster, lambda book: route("price", "v1")).epoch == 1
    seen = []

    def promote(book: RouteBook) -> Route:
        seen.append(book["churn"].champion)
        return msgspec.structs.replace(book["churn"], champion="v2", epoch=77)

    assert announce(cluster, promote).epoch == 2
    assert seen == ["v1"]
    eventually(lambda: len(read_book(cluster).history), 3)
    book = read_book(cluster)
    assert {name: (r.epoch, r.champion) for name, r in book.routes.items()} == {"churn": (2, "v2"), "price": (1, "v1")}
    assert [(r.model, r.epoch) for r in book.history] == [("churn", 1), ("price", 1), ("churn", 2)]


def test_the_judge_reads_the_same_event_among_its_counts(cluster, eventually):
    said = announce(cluster, lambda book: route("churn", "v1"))
    eventually(lambda: ranges.bounds(cluster, "counts")[0], (0, 2))
    (block,) = ranges.read_all(cluster, "counts")
    assert block.keys == [b"churn"]
    copy = msgspec.msgpack.decode(block.values[0], type=CountsMessage)
    assert copy == RouteCopy(model="churn", route=said)


def test_the_first_writer_of_an_epoch_wins_and_old_epochs_are_no_news():
    book = RouteBook()
    told = [(2, "a"), (2, "b"), (1, "c"), (3, "d")]
    news = [book.apply(msgspec.json.encode(route("m", champion, epoch))) for epoch, champion in told]
    assert [r and r.champion for r in news] == ["a", None, None, "d"]
    assert book.apply(None) is None


def test_the_only_model_is_the_default():
    book = RouteBook()
    assert book.default() is None
    book.apply(msgspec.json.encode(route("a", "v1", 1)))
    assert book.default() == "a"
    book.apply(msgspec.json.encode(route("b", "v1", 1)))
    assert book.default() is None


def value(**changes) -> bytes:
    """A route of churn as JSON, with some fields otherwise."""
    return msgspec.json.encode({"model": "churn", "epoch": 7, "ts": 0, "champion": "v9", **changes})


#: What stands on `models` and is no route, with a part of the reason.
NO_ROUTES = {
    "another object": (b'{"hello":"world"}', "missing required field"),
    "empty": (b"", "no value"),
    "null": (None, "no value"),
    "garbage": (b"\x00\xff\x00garbage", "it is no route"),
    "no UTF-8": (b'{"model":"\xff\xfe"}', "it is no route"),
    "deep": (b"[" * 100_000, "it is no route"),
    "number": (b"7", "it is no route"),
    "format of tomorrow": (value(format=99), "format 99"),
    "no model": (value(model=""), "use 1 to 100 letters"),
    "no champion": (value(champion="../v1"), "version '../v1'"),
    "epoch zero": (value(epoch=0), "between 1 and"),
    "negative epoch": (value(epoch=-3), "between 1 and"),
    "last epoch": (value(epoch=2**53), "the next one is 2"),
    "epoch beyond numbers": (b'{"model":"churn","epoch":1' + b"0" * 30 + b',"ts":0,"champion":"v9"}', "between 1 and"),
    "year 10000": (value(ts=253_402_300_800_000), "year 9999"),
    "negative time": (value(ts=-1), "ms since 1970"),
    "share beyond one": (value(canary={"v2": 1.5}), "between 0 and 1"),
    "champion twice": (value(shadows=["v9"]), "named once"),
    "impossible watch": (value(watch={"window_ms": 7}), "window_ms"),
}


@pytest.mark.parametrize(("record", "why"), NO_ROUTES.values(), ids=NO_ROUTES.keys())
def test_what_is_no_route_is_passed_over_and_the_good_ones_rule(record, why):
    book = RouteBook()
    good = route("churn", "v1", 1)
    assert book.apply(msgspec.json.encode(good), "models/0/0") == good
    assert book.apply(record, "models/0/1") is None
    assert book.apply(record, "models/0/1") is None  # the topic is read again
    assert book.routes == {"churn": good} and book.history == [good]
    assert list(book.passed_over) == ["models/0/1"] and why in book.passed_over["models/0/1"]
    with capture_logs() as logs:
        book.warn()
        book.warn()
    assert [(line["place"], line["records"]) for line in logs] == [("models/0/1", 1)]


def test_routes_are_announced_and_read_among_strange_records(cluster, eventually):
    announce(cluster, lambda book: route("churn", "v1"))
    producer = ck.Producer({"bootstrap.servers": cluster.bootstrap})
    for key in (b"churn", None):
        for record, _ in NO_ROUTES.values():
            producer.produce(cluster.topic("models"), record, key=key, headers=[("a", None), ("", b"\xff")])
    assert producer.flush(30) == 0
    made = announce(cluster, lambda book: msgspec.structs.replace(book["churn"], champion="v2"))
    assert made.epoch == 2
    eventually(lambda: [r.champion for r in read_book(cluster).history], ["v1", "v2"])
    with capture_logs() as logs:
        book = read_book(cluster)
    assert book.routes == {"churn": made} and len(book.passed_over) == 2 * len(NO_ROUTES)
    (line,) = logs
    assert (line["event"], line["records"]) == ("routes.passed_over", 2 * len(NO_ROUTES))


@pytest.mark.parametrize("key", [b"churn", None], ids=["key", "null key"])
def test_the_value_alone_makes_a_route(cluster, eventually, key):
    producer = ck.Producer({"bootstrap.servers": cluster.bootstrap})
    producer.produce(cluster.topic("models"), msgspec.json.encode(route("churn", "v1", 1)), key=key)
    assert producer.flush(30) == 0
    eventually(lambda: read_book(cluster).routes, {"churn": route("churn", "v1", 1)})
