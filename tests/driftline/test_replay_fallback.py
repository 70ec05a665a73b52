"""A stretch in which a version was away: who answered is counted, and answers again when it is replayed."""

from functools import cache

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from driftline.replay import text as words
from driftline.replay.routes_then import explains
from driftline.replay.served import Observed
from driftline.roles.catalogue import References
from inference import Scorer, Unavailable
from inference.backends.remote.fallback import Fallback
from streams.wire.observation import Head
from streams.wire.records import CountsMessage, PartialCounts, Prediction, Route
from tests.driftline.test_replay_recording import PER_MINUTE, Parts, recorded, registry, table

__all__ = ["registry"]  # the fixture of the same versions

_BLOCK = 150
_FIRST, _END = 4 * _BLOCK, 7 * _BLOCK
_decode = msgspec.msgpack.Decoder(CountsMessage).decode


class Gone:
    """A version that is away for some rows while ``live``; else it is what it stands for."""

    def __init__(self, backend, values):
        self.shapes, self.live = backend.shapes, True
        self._backend, self._values = backend, values

    def score(self, matrix):
        if self.live and np.isin(matrix[:, 0], self._values).any():
            raise Unavailable("it is away")
        return self._backend.score(matrix)


class WithFallback(Parts):
    """As `Parts`, and v1 has a fallback."""

    def __init__(self, registry, fallback):
        super().__init__(registry)
        self.catalogue = References(registry, {})
        load, values = self.load, table(12 * PER_MINUTE, 5)["x"].to_numpy()[_FIRST:_END]
        self.gone = Gone(load("taste", "v1").backend, values)
        v1 = Scorer(load("taste", "v1").package, self.gone, fallback=fallback)
        self.load = cache(lambda name, version: v1 if version == "v1" else load(name, version))


@pytest.fixture(params=[Fallback("v2", (), 0), Fallback("", (0.25,), 0)], ids=["version", "default"])
def parts(request, registry):
    return WithFallback(registry, request.param)


def answered(recording):
    return [msgspec.json.decode(v, type=Prediction) for b in recording.predictions[0] for v in b.values]


def test_it_is_replayed_as_it_was_answered(parts):
    recording = recorded(parts, snapshot_at=None)
    version = parts.load("taste", "v1").fallback.version or "default"
    routes = [(p.version, p.route) for p in answered(recording)]
    assert routes[: _FIRST - 1] == [("v1", "champion")] * (_FIRST - 1)  # of the requests one was broken
    assert routes[_FIRST - 1 : _END - 1] == [(version, "fallback")] * (_END - _FIRST)
    assert set(routes[_END - 1 :]) == {("v1", "champion")}
    parts.gone.live = False
    result = parts.rerun(recording)
    assert not result.differs, "\n".join(words.lines(result))
    assert result.predictions.by_fallback == _END - _FIRST
    assert any("450 were answered by a fallback" in line for line in words.lines(result))


def test_every_row_is_counted_once_for_who_answered_and_a_fixed_score_for_nobody(parts):
    recording = recorded(parts, snapshot_at=None)
    rows = {}
    for value in (value for block in recording.judges[0].counts for value in block.values):
        if isinstance(message := _decode(value), PartialCounts):
            counted = sum(minute.rows for minute in message.minutes if not minute.segment)
            rows[message.version] = rows.get(message.version, 0) + counted
    of_fallback = {"v2": _END - _FIRST} if parts.load("taste", "v1").fallback.version else {}
    assert rows == {"v1": len(answered(recording)) - (_END - _FIRST)} | of_fallback


def test_another_model_in_its_place_answers_all_of_it(parts):
    recording = recorded(parts, snapshot_at=None)
    parts.gone.live = False
    result = parts.rerun(recording, model="v1")
    replayed = result.predictions
    assert replayed.compared - replayed.equal == _END - _FIRST
    assert replayed.missing == replayed.extra == 0


def test_rows_of_a_fallback_say_nothing_of_the_route():
    def observed(version, role, *offsets):
        head = Head(model="m", version=version, topic="requests", partition=0, first=offsets[0], last=offsets[-1])
        at, n = np.array(offsets), len(offsets)
        return Observed(head, role, pa.array(["a"] * n), at, np.zeros(n, int), np.zeros(n, int), 0)

    before, after = (Route(model="m", epoch=n, ts=0, champion=f"v{n}") for n in (1, 2))
    during = [observed("v1", "fallback", 0, 1)]
    assert explains(after, during)
    assert explains(after, [*during, observed("v2", "champion", 2)])
    assert not explains(before, [*during, observed("v2", "champion", 2)])
    assert not explains(after, [observed("v1", "champion", 0, 1)])
