"""What a worker does with routes: loads, tries again, says which one it serves and why not the newest."""

import threading
import time

import msgspec
import pytest

from driftline.roles import following
from driftline.roles.following import Following
from inference import RegistryError, RegistryUnavailable, Serving
from inference.serving.models import NotLoadedYet
from streams.wire.records import Route
from streams.wire.route_book import RouteBook


class Scorer:
    """As much of a scorer as a route needs."""

    fallback = untried = None

    def __init__(self):
        from inference import ModelPackage
        from streams.wire.schema import Feature

        self.package = ModelPackage(
            name="m", version="v1", task="regression", artefact="m.py:M", inputs=(Feature("x"),)
        )


def route(epoch, champion="v1", model="m"):
    return Route(model=model, epoch=epoch, ts=0, champion=champion)


@pytest.fixture
def away():
    """Versions that cannot be loaded now."""
    return set()


@pytest.fixture
def worker(away):
    def load(name, version):
        if version in away:
            raise RegistryError(f"{name} {version} is not there")
        if "registry" in away:
            raise RegistryUnavailable("no route to host")
        return Scorer()

    told = {}
    return Following(None, Serving(load), told, elsewhere=["theirs"]), told


def test_the_old_route_goes_on_until_the_new_one_can_be_loaded(worker, away, monkeypatch):
    monkeypatch.setattr(following, "RETRY_S", (0.02,))
    follower, told = worker
    follower.follow(route(1))
    assert told == {"m": {"version": "v1", "epoch": 1}}
    away.add("v2")
    follower.follow(route(2, "v2"))
    assert told["m"] == {"version": "v1", "epoch": 1, "refused": "m v2 is not there", "refused_epoch": 2, "away": False}
    threading.Thread(target=follower.retry, daemon=True).start()
    away.clear()
    deadline = time.monotonic() + 10
    while told["m"] != {"version": "v2", "epoch": 2}:
        assert time.monotonic() < deadline, told
        time.sleep(0.01)


def test_a_newer_route_ends_the_wait_for_an_older_one(worker, away):
    follower, told = worker
    away.add("v1")
    follower.follow(route(1))
    follower.follow(route(2, "v2"))
    assert told == {"m": {"version": "v2", "epoch": 2}}
    follower.follow(route(1))  # whoever follows by another way may come late
    assert told == {"m": {"version": "v2", "epoch": 2}}
    assert not follower._refused


def test_what_somebody_else_serves_is_left_alone(worker):
    follower, told = worker
    follower.follow(route(1, model="theirs"))
    assert told == {} and follower._serving.waits_for() == "no route yet: driftline model route NAME VERSION"


def wait(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_while_the_registry_is_away_requests_wait_and_afterwards_they_are_answered(worker, away, monkeypatch):
    monkeypatch.setattr(following, "RETRY_S", (0.02,))
    follower, told = worker
    serving = follower._serving
    away.add("registry")
    follower.begin([route(1)])
    wait(follower.absent)
    assert follower.absent() == "m: no route to host" and follower.behind() == ""
    assert serving.waits_for() == "m v1 cannot be loaded: no route to host"
    with pytest.raises(NotLoadedYet, match="m v1 cannot be loaded: no route to host"):
        serving.wait_while_loading("m", 0.01)
    away.clear()
    wait(lambda: told["m"] == {"version": "v1", "epoch": 1})
    assert follower.absent() == follower.behind() == "" and serving.waits_for() is None


def test_a_version_that_is_away_does_not_end_the_one_that_serves(worker, away):
    follower, told = worker
    follower.follow(route(1))
    away.add("registry")
    follower.follow(route(2, "v2"))
    assert told["m"]["version"] == "v1" and told["m"]["away"]
    assert follower.absent() == ""
    assert follower.behind() == "m v1 goes on, epoch 2 is not followed: no route to host"


def test_a_route_to_what_is_not_there_leaves_the_one_before_in_force(away):
    """After a restart as before it: the newest route that can be served holds."""
    book = RouteBook()
    for epoch, champion in ((1, "v1"), (2, "v2"), (3, "v3")):
        book.apply(msgspec.json.encode(route(epoch, champion)))
    away |= {"v2", "v3"}
    told = {}

    def load(name, version):
        if version in away:
            raise RegistryError(f"{version} is not there")
        if "registry" in away:
            raise RegistryUnavailable("no route to host")
        return Scorer()

    follower = Following(None, Serving(load, book.former), told)
    follower.follow(route(3, "v3"))
    refused = {"refused": "v3 is not there", "refused_epoch": 3, "away": False}
    assert told["m"] == {"version": "v1", "epoch": 1, **refused}
    away.clear()
    follower.follow(route(3, "v3"))
    assert told["m"] == {"version": "v3", "epoch": 3}

    away |= {"v2", "v3", "registry"}  # which of the routes holds is not known yet
    follower = Following(None, Serving(load, book.former), {})
    follower.follow(route(3, "v3"))
    assert follower._serving.waits_for() == "m v3 cannot be loaded: v3 is not there"
    assert follower._serving.missing()["m"].waits and follower.absent() == "m: v3 is not there"
    away.add("v1")
    away.discard("registry")
    follower.follow(route(3, "v3"))
    assert not follower._serving.missing()["m"].waits  # all are at fault: requests are refused by that name
    assert follower.behind() == "requests of m are refused: v3 is not there"


def test_a_load_that_never_returns_holds_up_no_other_model_and_no_newer_route(monkeypatch):
    monkeypatch.setattr(following, "NEXT_LOAD_S", 0.05)
    go, told = threading.Event(), {}

    def load(name, version):
        if (name, version) == ("hangs", "v1"):
            go.wait(60)
        return Scorer()

    serving = Serving(load)
    follower = Following(None, serving, told)
    follower.begin([route(1, model="hangs"), route(1)])
    wait(lambda: told.get("m") == {"version": "v1", "epoch": 1})
    follower.follow_soon(route(2, "v2", model="hangs"))
    wait(lambda: told.get("hangs") == {"version": "v2", "epoch": 2})
    go.set()  # what comes late replaces nothing
    wait(lambda: not [thread for thread in threading.enumerate() if thread.name == "follow-route"])
    assert told["hangs"] == {"version": "v2", "epoch": 2} and serving.models()["hangs"].route.epoch == 2


def test_requests_of_a_model_that_loads_for_ever_are_refused_in_the_end():
    now, go = [0.0], threading.Event()
    serving = Serving(lambda name, version: go.wait(60) and Scorer(), ticks=lambda: now[0])
    follower = Following(None, serving, {})
    follower.begin([route(1)])
    with pytest.raises(NotLoadedYet, match="m v1 is being loaded"):
        serving.wait_while_loading("m", 0.01)
    now[0] = 301_000.0
    serving.wait_while_loading("m", 0.01)
    assert str(serving.missing()["m"]).startswith("m v1 cannot be loaded: it has been loading for 300 s; see what")
    go.set()
    wait(lambda: "m" in serving.models())
    assert not serving.missing()


@pytest.mark.parametrize("slow_one_fails", [False, True])
def test_a_newer_route_that_was_refused_is_tried_again_although_an_older_one_ends_later(slow_one_fails):
    go, there, told = threading.Event(), set(), {}

    def load(name, version):
        if version == "v1":
            go.wait(60)
        if (version == "v2" and "v2" not in there) or (version == "v1" and slow_one_fails):
            raise RegistryError(f"{version} is not there")
        return Scorer()

    follower = Following(None, Serving(load), told)
    slow = threading.Thread(target=follower.follow, args=(route(1),))
    slow.start()
    wait(lambda: follower._serving.missing())
    follower.follow(route(2, "v2"))
    assert told["m"]["refused_epoch"] == 2
    go.set()
    slow.join()
    assert told["m"]["refused"] == "v2 is not there" and told["m"]["refused_epoch"] == 2
    assert follower._refused["m"].epoch == 2
    there.add("v2")
    follower._try_again(follower._refused["m"])
    assert told["m"] == {"version": "v2", "epoch": 2} and not follower._refused


def test_an_older_route_that_fails_late_does_not_end_the_wait_for_a_newer_one():
    """Requests would be refused although the version that is to answer them is being loaded."""
    go, failing, told = threading.Event(), threading.Event(), {}

    def load(name, version):
        if version == "v1":
            failing.wait(60)
            raise RegistryError("v1 is not there")
        go.wait(60)
        return Scorer()

    serving = Serving(load)
    follower = Following(None, serving, told)
    older, newer = (threading.Thread(target=follower.follow, args=(route(n, f"v{n}"),)) for n in (1, 2))
    older.start()
    wait(lambda: serving.missing())
    newer.start()
    wait(lambda: serving.missing()["m"].route.epoch == 2)
    failing.set()
    older.join()
    assert serving.missing()["m"].waits
    go.set()
    newer.join()
    assert told["m"]["version"] == "v2" and not serving.missing()


def test_a_load_that_never_returns_when_it_is_tried_again_takes_one_thread(monkeypatch):
    monkeypatch.setattr(following, "RETRY_S", (0.01,))
    monkeypatch.setattr(following, "NEXT_LOAD_S", 0.01)
    go, loads = threading.Event(), []

    def load(name, version):
        loads.append(version)
        if len(loads) > 1:
            go.wait(60)
        raise RegistryError("it is not there")

    follower = Following(None, Serving(load), {})
    follower.follow(route(1))
    attempts = []
    again = follower._try_again
    monkeypatch.setattr(follower, "_try_again", lambda refused: (attempts.append(refused), again(refused)))
    threading.Thread(target=follower.retry, daemon=True).start()
    wait(lambda: len(attempts) > 10)
    assert len([thread for thread in threading.enumerate() if thread.name == "retry-route"]) <= 2
    go.set()
