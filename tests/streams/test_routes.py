"""Routes on a real broker: every change is the next epoch, on `models` and on `counts`, for whoever reads later."""

import msgspec

from streams import ranges
from streams.records import CountsMessage, Route, RouteCopy
from streams.routes import RouteBook, announce, read_book


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
    news = [book.take(msgspec.json.encode(route("m", champion, epoch))) for epoch, champion in told]
    assert [r and r.champion for r in news] == ["a", None, None, "d"]
    assert book.take(None) is None


def test_the_only_model_is_the_default():
    book = RouteBook()
    assert book.default() is None
    book.take(msgspec.json.encode(route("a", "v1", 1)))
    assert book.default() == "a"
    book.take(msgspec.json.encode(route("b", "v1", 1)))
    assert book.default() is None
