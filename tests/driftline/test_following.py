"""What a worker does with routes: loads, tries again, says which one it serves and why not the newest."""

import threading
import time

import pytest

from driftline.roles import following
from driftline.roles.following import Following
from inference import Serving
from streams.records import Route


class Scorer:
    """As much of a scorer as a route needs."""

    def __init__(self):
        from inference import ModelPackage
        from streams.schema import Feature

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
            raise FileNotFoundError(f"{name} {version} is away")
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
    assert told["m"] == {"version": "v1", "epoch": 1, "refused": "m v2 is away", "refused_epoch": 2}
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
