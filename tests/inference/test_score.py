"""The score step with lists: blocks in, effects out."""

import contextlib
import itertools
import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from inference import (
    Fatal,
    Limits,
    ModelBroken,
    ModelPackage,
    Outputs,
    Patience,
    Score,
    Scorer,
    Serving,
    Shapes,
    Unavailable,
    matrix_of,
)
from inference.serving.models import NotLoadedYet
from inference.serving.routing import by_version
from streams.formats.json import JsonDecoder
from streams.runtime.stage import Work
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.records import Prediction, Route
from streams.wire.refusals import Refusal
from streams.wire.schema import Feature

INPUTS = (Feature("x"), Feature("city", "categorical", categories=("Rome", "Oslo")))


class Ramp:
    """Score = x; fails on 7, says NaN for 9."""

    shapes = Shapes((16,))

    def __init__(self, shift=0.0, broken=False):
        self.shift = shift
        self.broken = broken

    def score(self, matrix):
        if self.broken or (matrix[:, 0] == 7).any():
            raise ValueError("seven is not for us")
        out = matrix[:, :1] + np.float32(self.shift)
        return np.where(matrix[:, :1] == 9, np.float32("nan"), out)


def ramp(version="v1", inputs=INPUTS, task="regression", model=None, **more):
    package = ModelPackage(
        name="ramp",
        version=version,
        task=task,
        artefact="m.py:M",
        inputs=inputs,
        limits=Limits(batch_rows=16),
        outputs=more.pop("outputs", Outputs()),
    )
    return Scorer(package, model or Ramp(**more), Patience(), sleep=lambda seconds: None)


def serving(*scorers, **route):
    known = {(s.package.name, s.package.version): s for s in scorers}
    found = Serving(lambda name, version: known[name, version])
    for name in {s.package.name for s in scorers}:
        found.follow(Route(model=name, epoch=1, ts=0, **({"champion": "v1"} | route)))
    return found


def block(*requests, partition=0, first=0, keys=None, headers=None, time=1_700_000_000_000):
    values = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in requests]
    n = len(values)
    offsets = range(first, first + n)
    return Block("requests", partition, offsets, [time] * n, keys or [None] * n, values, headers or [None] * n)


def out(effects, topic):
    return [message for message in effects.publish if message.topic == topic]


def said(effects):
    return [msgspec.json.decode(message.value, type=Prediction) for message in out(effects, "predictions")]


def letters(effects):
    return [
        {name.removeprefix("driftline-"): value.decode() for name, value in message.headers}
        for message in out(effects, "dead-letters")
    ]


def seen(effects):
    return [observation.decode(message.value) for message in out(effects, "observations")]


def test_a_request_has_one_prediction_and_is_observed():
    requests = block(
        {"id": "a", "ts": 1_699_999_999_000, "features": {"x": 0.5, "city": "Oslo"}},
        {"x": 2, "city": "Nice"},
        {"x": None},
        partition=3,
        first=100,
        keys=[b"k", None, b"l"],
    )
    [effects] = Score(serving(ramp())).process([requests])
    assert [msgspec.json.decode(m.value) for m in out(effects, "predictions")] == [
        {"id": "a", "model": "ramp", "version": "v1", "ts": 1_699_999_999_000, "score": 0.5, "prediction": "0.5"},
        {
            "id": "requests/3/101",
            "model": "ramp",
            "version": "v1",
            "ts": 1_700_000_000_000,
            "score": 2,
            "prediction": "2",
        },
    ]
    assert [(m.key, m.partition, m.headers) for m in out(effects, "predictions")] == [(b"k", 3, None), (None, 3, None)]
    [(head, batch)] = seen(effects)
    assert head == observation.Head(
        model="ramp",
        version="v1",
        topic="requests",
        partition=3,
        first=100,
        last=102,
        batch_rows=16,
        refused=[observation.RefusedRequest(102, 1_700_000_000_000, True, "model_failed", "", "")],
    )
    assert batch.drop_columns(["ts"]).to_pylist() == [
        {"id": "a", "offset": 100, "row": 0, "score": 0.5, "prediction": None, "route": "champion"}
        | {"x": 0.5, "city": "Oslo"},
        {"id": "requests/3/101", "offset": 101, "row": 0, "score": 2.0, "prediction": None, "route": "champion"}
        | {"x": 2.0, "city": "Nice"},
    ]
    assert batch["ts"].to_pylist() == [1_699_999_999_000, 1_700_000_000_000]
    assert out(effects, "observations")[0].partition == 3
    [letter] = letters(effects)  # a missing x is NaN, and so is what this model says of it
    assert (letter["offset"], letter["reason"], letter["detail"]) == ("102", "model_failed", "model gave NaN")


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_binary_model_says_its_classes(outputs):
    class Two:
        shapes = Shapes((16,))

        def score(self, matrix):
            return np.concatenate([matrix[:, :1], 1 - matrix[:, :1]], 1)

    model = Two() if outputs == 2 else Ramp()
    scorer = ramp(task="binary", model=model, outputs=Outputs(("yes", "no"), "yes", 0.4))
    [effects] = Score(serving(scorer)).process([block({"x": 0.25}, {"x": 0.5}, {"x": 0.4})])
    # With two outputs, the first class's probability is x, and it is the positive one.
    assert [(p.score, p.prediction) for p in said(effects)] == [
        (0.25, "no"),
        (0.5, "yes"),
        (pytest.approx(0.4, abs=1e-7), "yes"),
    ]
    assert seen(effects)[0][1]["prediction"].to_pylist() == ["no", "yes", "yes"]


def test_a_multiclass_model_says_all_its_scores():
    class Three:
        shapes = Shapes((16,))

        def score(self, matrix):
            x = matrix[:, :1]
            return np.concatenate([x, 0.75 - x, np.full_like(x, 0.25)], 1)

    scorer = ramp(task="multiclass", model=Three(), outputs=Outputs(("a", "b", "c")))
    [effects] = Score(serving(scorer)).process([block({"x": 0.5}, {"x": 0.125})])
    assert [(p.score, p.prediction, p.scores) for p in said(effects)] == [
        (0.5, "a", {"a": 0.5, "b": 0.25, "c": 0.25}),
        (0.625, "b", {"a": 0.125, "b": 0.625, "c": 0.25}),
    ]


def test_traces_and_cloud_events_travel_and_latency_is_told():
    carried = [("ce_id", b"1"), ("ce_type", b"t"), ("traceparent", b"00-1"), ("other", b"x")]
    requests = block({"x": 1}, {"x": 2}, headers=[carried, None], time=1_000)
    requests = msgspec.structs.replace(requests, times=[1_000, 1_020])
    [effects] = Score(serving(ramp()), clock=lambda: 1_050).process([requests])
    assert [m.headers for m in out(effects, "predictions")] == [
        [("ce_id", b"1"), ("ce_type", b"t"), ("traceparent", b"00-1"), ("latency_ms", b"50")],
        [("latency_ms", b"30")],
    ]


def test_what_cannot_be_read_or_scored_is_a_dead_letter_with_its_place():
    requests = block(
        {"x": 1}, b"{", {"x": "n/a"}, {"x": 7}, {"x": 9}, {"x": 3}, {"model": "nope", "x": 1}, {"x": 4}, first=40
    )
    [effects] = Score(serving(ramp())).process([requests])
    assert [p.id for p in said(effects)] == ["requests/0/40", "requests/0/45", "requests/0/47"]
    told = {letter["offset"]: letter for letter in letters(effects)}
    assert {offset: letter["reason"] for offset, letter in told.items()} == {
        "41": "undecodable",
        "42": "wrong_type",
        "43": "model_failed",
        "44": "model_failed",
        "46": "unknown_model",
    }
    assert told["42"]["field"] == "$.x"
    assert told["43"]["detail"] == "ValueError: seven is not for us" and told["43"]["attempts"] == "3"
    assert told["44"]["detail"] == "model gave NaN" and told["44"]["attempts"] == "1"
    assert all(letter["stage"] == "score" for letter in told.values())
    assert len(said(effects)) + len(told) == len(requests)
    assert {m.value for m in out(effects, "dead-letters")} == {requests.values[n] for n in (1, 2, 3, 4, 6)}


def test_a_message_of_many_rows_names_the_row_at_fault():
    def twice(schemas):
        def decode(block):
            rows, refused = JsonDecoder(schemas)(block)
            rows["ramp"] = msgspec.structs.replace(rows["ramp"], at=np.array([0, 0]), row=np.array([0, 1], np.int32))
            return rows, [*refused, Refusal(1, "wrong_type", "$[0].x", "made up")]

        return decode

    [effects] = Score(serving(ramp()), twice).process([block({"x": 1}, {"x": 7})])
    assert sorted((letter["field"], letter["reason"]) for letter in letters(effects)) == [
        ("$[0].x", "wrong_type"),
        ("$[1]", "model_failed"),
    ]


REQUESTS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"x": st.integers(0, 10), "city": st.sampled_from(["Rome", "Nice", None])}),
        st.just(b"{"),
    ),
    min_size=1,
    max_size=40,
)


def everything(effects):
    """What effects say, whatever their order among topics and the split of observations."""
    rows = [
        (head.version, tuple(sorted(row.items(), key=str)))
        for one in effects
        for head, batch in seen(one)
        for row in batch.to_pylist()
    ]
    predictions = [(m.partition, m.value) for one in effects for m in out(one, "predictions")]
    refused = [m.value for one in effects for m in out(one, "dead-letters")]
    return predictions, sorted(rows, key=str), len(refused)


@given(REQUESTS, st.lists(st.integers(0, 40), max_size=5), st.booleans())
def test_any_split_into_blocks_and_folds_says_the_same(requests, cuts, together):
    scorers = ramp(), ramp("v2", shift=0.5), ramp("v3", shift=1)
    step = Score(serving(*scorers, canary={"v2": 0.4}, shadows=("v3",)))
    whole = block(*requests)
    bounds = sorted({0, len(requests), *(cut for cut in cuts if cut < len(requests))})
    parts = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    split = list(step.process(parts)) if together else [step.process([part])[0] for part in parts]
    assert everything(step.process([whole])) == everything(split)


def test_blocks_of_several_partitions_get_what_is_theirs():
    model = Ramp()
    passes = []
    inner = model.score
    model.score = lambda matrix: passes.append(1) or inner(matrix)
    step = Score(serving(ramp(model=model)))
    passes.clear()
    blocks = [block({"x": p * 10 + 1}, {"x": 7} if p == 1 else {"x": p * 10 + 2}, partition=p) for p in range(3)]
    effects = step.process(blocks)
    assert [[(m.partition, p.score) for m, p in zip(out(e, "predictions"), said(e), strict=True)] for e in effects] == [
        [(0, 1.0), (0, 2.0)],
        [(1, 11.0)],
        [(2, 21.0), (2, 22.0)],
    ]
    assert [len(letters(e)) for e in effects] == [0, 1, 0]
    passes.clear()
    step.process([blocks[0], blocks[2]])
    assert len(passes) == 1  # one pass for both partitions


def test_canaries_answer_in_the_order_of_the_requests_and_shadows_do_not_answer():
    requests = block(*[{"id": f"r{n}", "x": 1 + n / 16} for n in range(12)])
    scorers = ramp(), ramp("v2", shift=0.5), ramp("v3", shift=1)
    found = serving(*scorers, canary={"v2": 0.5}, shadows=("v3",))
    [effects] = Score(found).process([requests])
    expected = {}
    for lane in by_version(found.models()["ramp"].route, [f"r{n}" for n in range(12)]):
        if lane.role != "shadow":
            expected |= {f"r{n}": (lane.version, lane.role) for n in lane.rows}
    assert {role for _, role in expected.values()} == {"champion", "canary"}
    assert [(p.id, p.version, p.route) for p in said(effects)] == [(f"r{n}", *expected[f"r{n}"]) for n in range(12)]
    rows = {(head.version, set(b["route"].to_pylist()).pop()): b.num_rows for head, b in seen(effects)}
    canary = sum(role == "canary" for _, role in expected.values())
    assert rows == {("v1", "champion"): 12 - canary, ("v2", "canary"): canary, ("v3", "shadow"): 12}


def test_a_newer_versions_inputs_are_its_own():
    newer = (Feature("city", "categorical", categories=("Nice", "Oslo", "Rome")), Feature("extra"), Feature("x"))

    class Level:
        shapes = Shapes((16,))

        def score(self, matrix):
            assert matrix.shape[1] == 3
            return matrix[:, :1]

    step = Score(serving(ramp(), ramp("v2", inputs=newer, model=Level()), shadows=("v2",)))
    [effects] = step.process([block({"x": 1, "city": "Nice", "extra": 5}, {"x": 2, "city": "Bari"})])
    by_version = {head.version: batch for head, batch in seen(effects)}
    assert by_version["v1"].schema.names[7:] == ["x", "city"]
    assert by_version["v1"]["city"].to_pylist() == ["Nice", "Bari"]  # unknown to v1, and told as it came
    assert by_version["v2"].schema.names[7:] == ["city", "extra", "x"]
    assert by_version["v2"]["city"].to_pylist() == ["Nice", "Bari"]
    assert by_version["v2"]["score"].to_pylist() == [0.0, 3.0]  # the code of Nice; that of an unknown level
    assert len(said(effects)) == 2


def test_a_shadow_that_breaks_holds_nobody_up():
    step = Score(serving(ramp(), ramp("v2"), shadows=("v2",)))
    step._serving.models()["ramp"].scorers["v2"].backend.broken = True
    [effects] = step.process([block({"x": 1})])
    assert len(said(effects)) == 1 and not letters(effects)
    assert [head.version for head, _ in seen(effects)] == ["v1"]


def test_rows_that_only_a_shadow_cannot_score_are_no_dead_letters():
    class Anything:
        shapes = Shapes((16,))

        def score(self, matrix):
            return np.ones((16, 1), np.float32)

    [effects] = Score(serving(ramp(model=Anything()), ramp("v2"), shadows=("v2",))).process([block({"x": 7}, {"x": 1})])
    assert len(said(effects)) == 2 and not letters(effects)
    assert {head.version: batch.num_rows for head, batch in seen(effects)} == {"v1": 2, "v2": 1}


def test_a_champion_that_breaks_blames_nobody():
    step = Score(serving(ramp()))
    step._serving.models()["ramp"].scorers["v1"].backend.broken = True
    with pytest.raises(ModelBroken):
        step.process([block({"x": 1})])


def test_the_model_is_named_or_is_the_only_one():
    other = ModelPackage(
        name="flat", version="v1", task="regression", artefact="m.py:M", inputs=(Feature("x"),), limits=Limits(16)
    )
    flat = Scorer(other, Ramp(shift=100))
    headers = [[("model", b"flat")], [("model", b"ramp")], None]
    [effects] = Score(serving(ramp(), flat)).process([block({"x": 1}, {"x": 2}, {"x": 3}, headers=headers)])
    assert [(p.model, p.score) for p in said(effects)] == [("flat", 101.0), ("ramp", 2.0)]
    assert [letter["reason"] for letter in letters(effects)] == ["unknown_model"]  # two models, none is meant
    [effects] = Score(serving(flat)).process([block({"x": 3}, {"x": 4, "model": "flat"})])
    assert [(p.model, p.score) for p in said(effects)] == [("flat", 103.0), ("flat", 104.0)]


def test_a_new_route_holds_from_the_next_fold_on():
    found = serving(ramp(), ramp("v2", shift=0.5))
    step = Score(found)
    assert said(step.process([block({"x": 1})])[0])[0].version == "v1"
    assert found.follow(Route(model="ramp", epoch=2, ts=0, champion="v2"))
    assert not found.follow(Route(model="ramp", epoch=1, ts=0, champion="v1"))  # older: no news
    assert said(step.process([block({"x": 1})])[0])[0].version == "v2"


def test_a_route_that_cannot_be_served_leaves_the_former_one():
    found = serving(ramp())
    with pytest.raises(KeyError):
        found.follow(Route(model="ramp", epoch=2, ts=0, champion="v9"))
    assert found.models()["ramp"].route.champion == "v1"


def test_those_who_watch_hear_of_requests_that_were_refused():
    requests = block({"x": "high", "ts": 1_699_999_999_000}, b"<x/>", {"features": {"x": [], "city": "Rome"}}, first=7)
    [(head, batch)] = seen(Score(serving(ramp()), JsonDecoder).process([requests])[0])
    assert (head.model, head.version, head.first, head.last, batch.num_rows) == ("ramp", "v1", 7, 9, 0)
    assert head.refused == [
        observation.RefusedRequest(7, 1_699_999_999_000, True, "wrong_type", "x", "str"),
        observation.RefusedRequest(8, 1_700_000_000_000, False, "undecodable", "", ""),
        observation.RefusedRequest(9, 1_700_000_000_000, True, "wrong_type", "x", "array"),
    ]


def test_of_two_models_each_hears_of_its_own_and_of_a_canary_s_share_the_canary():
    other = msgspec.structs.replace(ramp().package, name="other")
    both = serving(ramp(), ramp("v2"), Scorer(other, Ramp(), Patience()), canary={})
    for one in ({"x": "a", "model": "other"}, {"x": "b", "model": "nobody"}, b"?"):
        found = [head.model for head, _ in seen(Score(both).process([block(one)])[0])]
        assert found == (["other"] if b"other" in block(one).values[0] else [])
    split = serving(ramp(), ramp("v2"), canary={"v2": 0.5})
    [effects] = Score(split).process([block(*[{"x": "a"}] * 200)])
    told = {head.version: len(head.refused) for head, _ in seen(effects)}
    assert sum(told.values()) == 200 and 60 < told["v1"] < 140


def test_observations_are_split_below_the_limit(monkeypatch):
    monkeypatch.setattr("inference.scoring.observations.MESSAGE_BYTES_MAX", 6_000)
    requests = block(*[{"id": f"{n:032x}"[::-1] + str(hash(n) * 7919), "x": n + 100} for n in range(300)], first=50)
    [effects] = Score(serving(ramp())).process([requests])
    parts = seen(effects)
    assert len(parts) > 1 and all(len(m.value) <= 6_000 for m in out(effects, "observations"))
    assert [o for _, batch in parts for o in batch["offset"].to_pylist()] == list(range(50, 350))
    assert [(h.first, h.last) for h, _ in parts] == [
        (b["offset"][0].as_py(), b["offset"][-1].as_py()) for _, b in parts
    ]


def test_an_empty_fold_and_a_silent_partition_ask_for_nothing():
    step = Score(serving(ramp()))
    step.assign("requests", 0, 0, "")
    assert step.process([]) == [] and not step.idle("requests", 0).publish
    step.revoke("requests", 0)


def test_no_model_yet_is_an_unknown_model():
    [effects] = Score(Serving(lambda name, version: None)).process([block({"x": 1})])
    assert [letter["reason"] for letter in letters(effects)] == ["unknown_model"]


def test_the_trained_model_through_the_step(scorer, table):
    names = scorer.package.schema.names
    rows = table.select(names).slice(0, 200).to_pylist()
    found = Serving(lambda name, version: scorer)
    found.follow(Route(model="churn", epoch=1, ts=0, champion="v1"))
    [effects] = Score(found).process([block(*[{"features": row} for row in rows])])
    direct = scorer(matrix_of(table, scorer.package.schema)[:200]).values[:, 0]
    assert np.array([p.score for p in said(effects)], np.float32).tobytes() == direct.tobytes()


def announcing(found, *routes):
    """What a worker does before it calls a model unknown: it follows every route that was announced until now."""

    def catch_up():
        for route in routes:
            with contextlib.suppress(KeyError):  # the model cannot be loaded
                found.follow(route)

    return catch_up


def test_a_request_sent_after_its_route_was_announced_is_answered():
    known = {("ramp", "v1"): ramp()}
    found = Serving(lambda name, version: known[name, version])
    score = Score(found, catch_up=announcing(found, Route(model="ramp", epoch=1, ts=0, champion="v1")))
    [effects] = score.process([block({"model": "ramp", "x": 1}, {"model": "ramp", "x": 2})])
    assert [one.score for one in said(effects)] == [1, 2] and letters(effects) == []


def test_what_truly_does_not_exist_is_refused_by_that_name():
    found = serving(ramp())
    [effects] = Score(found, catch_up=announcing(found)).process([block({"model": "rump", "x": 1}, {"x": 3})])
    [letter] = letters(effects)
    assert (letter["reason"], letter["field"], letter["detail"]) == (
        "unknown_model",
        "$.model",
        "no route for 'rump'; did you mean ramp?",
    )
    assert [one.score for one in said(effects)] == [3]


def test_a_model_that_cannot_be_loaded_is_no_unknown_model_and_harms_no_neighbour():
    found = serving(ramp())
    lost = Route(model="lost", epoch=1, ts=0, champion="v1")
    [effects] = Score(found, catch_up=announcing(found, lost)).process(
        [block({"model": "lost", "x": 1}, {"model": "ramp", "x": 2})]
    )
    [letter] = letters(effects)
    assert letter["reason"] == "model_not_loaded" and letter["detail"].startswith("lost v1 cannot be loaded: ")
    assert [one.score for one in said(effects)] == [2]
    assert seen(effects)[0][0].refused is None  # it is no fault of the model beside it


def test_who_names_no_model_means_the_only_one_that_has_a_route_loaded_or_not():
    found = serving(ramp())
    assert letters(Score(found).process([block({"x": 1})])[0]) == []
    found.expect(Route(model="lost", epoch=1, ts=0, champion="v1"))  # whether it is loaded yet decides nothing
    [letter] = letters(Score(found).process([block({"x": 1})])[0])
    assert (letter["reason"], letter["field"]) == ("unknown_model", "$.model")
    assert "put one of lost, ramp into the field" in letter["detail"]


def test_requests_wait_while_their_model_is_loaded(monkeypatch):
    monkeypatch.setattr("inference.scoring.stage._LOADING_S_MAX", 0.01)
    found = serving(ramp())
    slow = Route(model="slow", epoch=1, ts=0, champion="v1")
    found.expect(slow)
    score = Score(found, catch_up=lambda: None)
    requests = [block({"model": "slow", "x": 1}, {"model": "ramp", "x": 2})]
    with pytest.raises(NotLoadedYet, match="slow v1 is being loaded"):
        score.process(requests)
    scorer = Scorer(msgspec.structs.replace(ramp().package, name="slow"), Ramp())
    found._load = lambda name, version: scorer
    found.follow(slow)
    [effects] = score.process(requests)  # the same blocks come again
    assert [(one.model, one.score) for one in said(effects)] == [("slow", 1), ("ramp", 2)]


def test_a_worker_says_what_it_waits_for():
    known = {}
    found = Serving(lambda name, version: known[name, version])
    assert found.waits_for() == "no route yet: driftline model route NAME VERSION"
    route = Route(model="ramp", epoch=1, ts=0, champion="v1", shadows=("v2",))
    found.expect(route)
    assert found.waits_for() == "ramp v1, v2 is being loaded"
    with pytest.raises(KeyError):
        found.follow(route)
    assert found.waits_for() == "ramp v1, v2 cannot be loaded: ('ramp', 'v1')"
    known |= {("ramp", version): ramp(version) for version in ("v1", "v2")}
    assert found.follow(route) and found.waits_for() is None and not found.missing()


def test_who_names_no_model_where_several_serve_is_told_their_names():
    others = ramp(), Scorer(msgspec.structs.replace(ramp().package, name="slope"), Ramp(), Patience())
    [effects] = Score(serving(*others)).process([block({"x": 1})])
    [letter] = letters(effects)
    assert letter["reason"] == "unknown_model" and "put one of ramp, slope into the field" in letter["detail"]


def test_what_only_the_canary_requires_is_asked_of_its_own_requests():
    wider = (*INPUTS, Feature("new", required=True))
    score = Score(serving(ramp(), ramp("v2", wider), ramp("v3", wider), canary={"v2": 0.5}, shadows=("v3",)))
    requests = [{"id": f"r{n}", "x": n + 20, **({} if n % 2 else {"new": 1})} for n in range(40)]
    [effects] = score.process([block(*requests)])
    [canary] = [lane for lane in by_version(route_of(score), [one["id"] for one in requests]) if lane.role == "canary"]
    without = {n for n in canary.rows.tolist() if n % 2}
    assert without and len(without) < len(canary.rows)
    refused = letters(effects)
    assert {int(letter["offset"]) for letter in refused} == without
    assert {letter["reason"] for letter in refused} == {"missing_field"}
    assert {letter["field"] for letter in refused} == {"$.new"}
    assert "ramp v2, which answers this request, requires 'new'" in refused[0]["detail"]
    assert len(said(effects)) == 40 - len(without)
    told = {head.version: len(head.refused or ()) for head, _ in seen(effects)}
    assert told == {"v1": 0, "v2": len(without), "v3": 0}
    assert {head.version: batch.num_rows for head, batch in seen(effects)}["v3"] == 40  # a shadow sees all


def route_of(score):
    return score._serving.models()["ramp"].route


def _metric(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("error", "kind"), [(Unavailable("gone"), "unavailable"), (Fatal("lost"), "fatal"), (None, "broken")]
)
def test_what_a_version_fails_as_a_whole_is_counted_by_its_kind(error, kind):
    labels = {"model": "ramp", "version": "v1", "kind": kind}
    before = _metric("driftline_model_failures_total", **labels)
    model = Ramp()
    step = Score(serving(ramp(model=model)))
    model.broken = error is None
    if error is not None:
        model.score = lambda matrix: (_ for _ in ()).throw(error)
    with pytest.raises(ModelBroken if error is None else type(error)):
        step.process([block({"x": 1})])
    assert _metric("driftline_model_failures_total", **labels) - before == 1


def test_rows_that_fill_a_batch_up_are_counted():
    labels = {"model": "ramp", "version": "v1", "role": "champion"}
    before = _metric("driftline_rows_padding_total", **labels)
    Score(serving(ramp())).process([block(*[{"x": 1}] * 17)])
    assert _metric("driftline_rows_padding_total", **labels) - before == 15


def test_a_slow_model_is_left_to_a_thread_of_its_own_and_says_the_same():
    ticks = itertools.count(0, 50)  # each look at the clock, 50 ms later
    step = Score(serving(ramp()), overlaps=True, ticks=lambda: next(ticks))
    plain = Score(serving(ramp()))
    first, second = block({"x": 1}, {"x": 7}, b"no json"), block({"x": 2}, {"x": 9}, first=3)
    [effects] = step.process([first])  # how long it takes is not known yet
    assert effects == plain.process([first])[0]
    work = step.process([second])
    assert isinstance(work, Work) and step.answering is None
    work.compute()
    [effects] = work.finish()
    assert effects == plain.process([second])[0]
    quick = Score(serving(ramp()), overlaps=True, ticks=lambda: 0.0)
    assert [isinstance(quick.process([block({"x": 1})]), Work) for _ in range(2)] == [False, False]


def test_a_micro_batch_begun_before_a_route_changes_is_scored_by_the_one_it_was_decoded_for():
    found = serving(ramp(), ramp("v2", shift=1.0))
    ticks = itertools.count(0, 50)
    step = Score(found, overlaps=True, ticks=lambda: next(ticks))
    step.process([block({"x": 1})])
    work = step.process([block({"x": 1}, first=1)])
    found.follow(Route(model="ramp", epoch=2, ts=0, champion="v2"))
    later = step.process([block({"x": 1}, first=2)])
    work.compute()
    assert [(p.version, p.score) for p in said(work.finish()[0])] == [("v1", 1.0)]
    if isinstance(later, Work):
        later.compute()
        later = later.finish()
    assert [(p.version, p.score) for p in said(later[0])] == [("v2", 2.0)]


def test_while_one_micro_batch_is_with_another_thread_none_computes_beside_it(tmp_path):
    """What is in hand, and who answers, are of one micro-batch: the next is left to that thread, too, however quick."""
    ticks = itertools.count(0, 50)
    step = Score(serving(ramp()), overlaps=True, ticks=lambda: next(ticks))
    step.process([block({"x": 1})])
    first = step.process([block({"x": 1}, first=1)])
    step._calls._row_ms.clear()  # a model of which nothing is known, and that may be as quick as any
    second = step.process([block({"x": 2}, first=2)])
    assert isinstance(first, Work) and isinstance(second, Work)
    for work in (first, second):
        work.compute()
        work.finish()
    step._calls._row_ms.clear()
    assert not isinstance(step.process([block({"x": 3}, first=3)]), Work)
    lost = [block({"x": 3}, first=5)]
    assert isinstance(step.process(lost), Work)
    step.dropped(lost)
    assert not step._unfinished
