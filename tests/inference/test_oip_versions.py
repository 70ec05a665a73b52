"""Which versions are loaded, and what the process says of it meanwhile."""

import threading
import time

import pytest
from doubling import DEADLINE_S, Doubling, package_of

from inference import ArtefactError, Patience, Scorer, Unavailable
from inference.oip.refusals import Loading
from inference.oip.versions import Named, Versions


def loaded(name, version):
    package = package_of(name, version)
    return Scorer(package, Doubling(package.limits.shapes), Patience(), sleep=lambda s: None)


def wait(true):
    until = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_version_whose_server_does_not_answer_holds_up_no_other():
    away = threading.Event()
    away.set()

    def load(name, version):
        if name == "away" and away.is_set():
            raise Unavailable("away v1: http://far breaks off")
        return loaded(name, version)

    errors = []
    versions = Versions(load, [Named("away", "v1"), Named("m", "v1")])
    versions.load(errors.append)
    wait(lambda: versions.is_ready("m"))
    with pytest.raises(Loading, match="http://far breaks off"):
        versions.find("away")
    wait(lambda: versions.trouble() == ["away v1: http://far breaks off", "away v1 is being loaded"])
    away.clear()
    wait(lambda: not versions.trouble())
    assert not errors


def test_a_version_that_cannot_be_loaded_is_told():
    def load(name, version):
        raise ArtefactError("model.pt2: damaged")

    errors = []
    Versions(load, [Named("m", "v1")])._load_all(errors.append)
    assert [str(error) for error in errors] == ["model.pt2: damaged"]


def test_a_version_that_is_loaded_while_somebody_asks_for_trouble_is_no_fault():
    versions = Versions(loaded, [Named("m", "v1"), Named("m", "v2")])
    versions._load_one(Named("m", "v1"), lambda error: None)
    first = versions.find("m", "v1")
    first._scorer.backend.health = lambda: versions._load_one(Named("m", "v2"), lambda error: None) or ""
    assert versions.trouble() == ["m v2 is being loaded"]
    first._scorer.backend.health = str
    assert versions.trouble() == []
