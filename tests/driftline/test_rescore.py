"""Requests scored again, with lists: what is at fault now, as it was then, keeps nobody from a replay."""

import msgspec
import numpy as np
import pytest

from driftline.replay.rescore import Scoring
from inference import Limits, ModelPackage, RegistryError, Scorer, Shapes
from streams.wire.block import Block
from streams.wire.records import Prediction, Route
from streams.wire.schema import Feature


class Same:
    """The score is the feature."""

    shapes = Shapes((16,))

    def score(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, :1]


def load(name, version):
    if name == "ghost":
        raise RegistryError("ghost v1 is not in models")
    package = ModelPackage(
        name=name, version=version, task="regression", artefact="m.py:M", inputs=(Feature("x"),),
        limits=Limits(batch_rows=16),
    )  # fmt: skip
    return Scorer(package, Same())


HISTORY = [Route(model=model, epoch=1, ts=0, champion="v1") for model in ("ghost", "there")]
REQUESTS = [{"model": "there", "x": 1}, {"model": "ghost", "x": 2}, {"x": 3}]


def test_a_model_that_could_never_be_loaded_is_refused_as_it_was():
    block = Block.of("requests", 0, [msgspec.json.encode(request) for request in REQUESTS])
    [again] = Scoring(load, HISTORY, {}, {"there"}).again([block], [])
    answers = {place: msgspec.json.decode(value, type=Prediction).score for place, value in again.predictions.items()}
    assert answers == {(0, 0): 1.0}  # the third names none of two


def test_a_model_that_answered_then_has_to_be_there():
    block = Block.of("requests", 0, [b'{"model": "ghost", "x": 2}'])
    with pytest.raises(RegistryError, match="ghost v1 is not in models"):
        list(Scoring(load, HISTORY, {}, {"ghost", "there"}).again([block], []))


def test_a_request_that_names_no_model_is_for_the_one_that_there_was():
    history = [Route(model=model, epoch=1, ts=ts, champion="v1") for model, ts in (("first", 100), ("second", 900))]
    before, after = (
        Block.of("requests", 0, [b'{"x": 3}'], first=first, time=time) for first, time in ((0, 500), (1, 950))
    )
    several = Scoring(load, history, {}, {"first"}).again([before, after], [])
    assert [place for again in several for place in again.predictions] == [(0, 0)]
